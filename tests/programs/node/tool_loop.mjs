// A tool loop of the Vercel AI SDK, as an application writes it: a job as JSON on stdin, the
// outcome as JSON on stdout.
//
// Job: { api: 'openai-chat' | 'openai-responses' | 'anthropic', url, key, model, stream, system,
//   prompt, options? }; `options` are those of the SDK's provider.
// Outcome: { text, finish, usage, steps: [{ text, reasoning, finish, calls, results }], parts },
// where `parts` are the types of the stream's parts, each one once.

import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import { text } from 'node:stream/consumers';
import { z } from 'zod';

globalThis.AI_SDK_LOG_WARNINGS = false;

const job = JSON.parse(await text(process.stdin));

const openai = createOpenAI({ baseURL: `${job.url}/v1`, apiKey: job.key });
const anthropic = createAnthropic({ baseURL: `${job.url}/v1`, apiKey: job.key });
const models = {
  'openai-chat': () => openai.chat(job.model),
  'openai-responses': () => openai.responses(job.model),
  anthropic: () => anthropic(job.model),
};

const call = {
  model: models[job.api](),
  instructions: job.system,
  prompt: job.prompt,
  providerOptions: job.options,
  tools: {
    weather: tool({
      description: 'The weather in a city.',
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => `${city}: 21 degrees`,
    }),
    noon: tool({
      description: 'The time, when it is noon.',
      inputSchema: z.object({}),
      execute: async () => ({ hours: 12, minutes: 0 }),
    }),
  },
  stopWhen: stepCountIs(5),
  maxRetries: 0,
};

async function loop() {
  const parts = new Set();
  const result = job.stream
    ? streamText({ ...call, onError: () => {} })
    : await generateText(call);
  if (job.stream) {
    for await (const part of result.fullStream) {
      parts.add(part.type);
      if (part.type === 'error') throw part.error;
    }
  }
  return {
    text: await result.text,
    finish: await result.finishReason,
    usage: await result.totalUsage,
    steps: (await result.steps).map((step) => ({
      text: step.text,
      reasoning: step.reasoningText ?? '',
      finish: step.finishReason,
      calls: step.toolCalls.map(({ toolCallId, toolName, input }) => [toolCallId, toolName, input]),
      results: step.toolResults.map(({ toolCallId, output }) => [toolCallId, output]),
    })),
    parts: [...parts],
  };
}

try {
  process.stdout.write(JSON.stringify(await loop()));
} catch (error) {
  // The SDK's errors hold the whole request; this is what a reader of a failed test needs.
  process.stderr.write(`${error.name}: ${error.message} ${error.responseBody ?? ''}\n`);
  process.exitCode = 1;
}
