"""The most that a call can cost, before it is made: pure arithmetic over data.

A token stands for at least one byte, so a body of N bytes holds at most N tokens of text. Output is
what the request allows, else the most that the model can write.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from torana.core.money import UNITS, PriceTerms, Rates
from torana.dialects.costs import CallCosts, MediaCosts
from torana.routing.catalog import Target

UNKNOWN_MAX_OUTPUT = 131_072
"""Output tokens assumed for a model that the catalogue does not know: more than most can write."""


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """The most that a call can cost at any of its targets, linear in its output.

    Attributes:
        fixed: everything but the output tokens, in nano-dollars times `UNITS`.
        per_output: one more output token in every choice, in the same unit.
        output: output tokens per choice that are assumed.
        capped: the caller gave no limit, and `output` is not what the model can write at most; so
            under a hard budget it is sent along (or the target's own maximum, where that is less),
            else nothing holds the model to it.
        unruled: names of what may cost something and has no rule; under a hard budget the call is
            refused, unless all of them are declared free.
        tokens: an estimate for limits of tokens a minute: a token for four bytes of text, images,
            and the output that the caller allows for all choices, nothing where he gives no limit.
    """

    fixed: int
    per_output: int = 0
    output: int = 0
    capped: bool = False
    unruled: tuple[str, ...] = ()
    tokens: int = 0

    def nano(self, output: int | None = None) -> int:
        """Nano-dollars, rounded up once.

        Args:
            output: tokens per choice that are allowed; `self.output` if it is None.
        """
        allowed = self.output if output is None else output
        return -(-(self.fixed + self.per_output * allowed) // UNITS)


# --- calls -------------------------------------------------------------------------------------

CALL_TOKENS = 128
"""What a provider's own template may put before a prompt: marks, a date, a default instruction."""
TOOLS_TOKENS = 1_024
"""What it may put there to explain to the model how tools are called."""
IMAGE_TOKENS = 8_192
"""An image that is looked at to make another, where the catalogue does not say: OpenAI's most is 65
and 129 for each of four tiles, and 6,144 for a close look."""


def call_bound(
    costs: CallCosts, targets: Sequence[Target], *, input_tokens: int | None = None
) -> Bound:
    """The bound of a call.

    A limit of the caller's counts as it is, even above what the model can write: whether a provider
    refuses it, clamps it or obeys is the provider's affair. Parts of the bound are taken from
    whichever target is dearest in each, so it holds for all of them and for every output.

    Args:
        costs: what bears on the cost.
        targets: all that may answer the call; at least one.
        input_tokens: tokens of the prompt's text, counted or over; None bounds it by its bytes.
    """
    text = costs.text_bytes if input_tokens is None else min(input_tokens, costs.text_bytes)
    text += CALL_TOKENS + (TOOLS_TOKENS if costs.tools else 0)
    fixed = per_output = output = image_tokens = 0
    capped = False
    unruled = costs.unruled
    for target in targets:
        image_tokens = max(image_tokens, target.facts.image_tokens or 0)
        assumed, own = _assumed_output(costs, target)
        output = max(output, assumed)
        capped = capped or not own
        if target.price is None:
            continue
        terms = _terms(costs, target.price.terms)
        tokens = _input_tokens(costs, target, text)
        for rates in _reachable(terms, tokens + _media_tokens(costs.media, target)):
            media = _media(costs.media, rates, target)
            fixed = max(fixed, _fixed(costs, rates, tokens) + media)
            per_output = max(per_output, _output_rate(costs, rates) * costs.choices)
        if costs.has_media or costs.unseen_prompt or costs.media is not None:
            names = _unpriced(costs, target, terms)
            unruled += tuple(name for name in names if name not in unruled)
    return Bound(
        fixed=fixed,
        per_output=per_output,
        output=output,
        capped=capped,
        unruled=unruled,
        tokens=-(-costs.text_bytes // 4)
        + costs.images * image_tokens
        + (costs.max_output or 0) * costs.choices,
    )


def _assumed_output(costs: CallCosts, target: Target) -> tuple[int, bool]:
    """The tokens of an answer that are assumed, and whether it surely ends there."""
    if costs.no_output:
        return 0, True
    return (costs.max_output, True) if costs.max_output else _most_output(target)


def _most_output(target: Target) -> tuple[int, bool]:
    """The most tokens of an answer without a limit, and whether the model stops there by itself."""
    facts = target.facts
    physical = [limit for limit in (facts.max_output, facts.context_window) if limit is not None]
    if target.max_output is None and facts.max_output is None:
        assumed = min([*physical, UNKNOWN_MAX_OUTPUT])
    else:
        assumed = min([*physical, *(() if target.max_output is None else (target.max_output,))])
    return assumed, bool(physical) and assumed == min(physical)


def _input_tokens(costs: CallCosts, target: Target, text: int) -> int:
    window = target.facts.context_window
    if window is not None:
        # No prompt is longer, whatever a file, a recording or an earlier turn holds.
        unknown = costs.files or costs.audio_in or costs.unseen_prompt
        text = window if unknown else min(text, window)
    # Some models count an image dearer than the room that it takes, so images come on top.
    return text + costs.images * (target.facts.image_tokens or 0)


def priced(target: Target, costs: CallCosts) -> Target:
    """A target at the price of what a call asks for: images cost by their size and quality."""
    if costs.media is None or target.price is None:
        return target
    price = target.price
    terms = _terms(costs, price.terms)
    return msgspec.structs.replace(target, price=msgspec.structs.replace(price, terms=terms))


def _terms(costs: CallCosts, terms: PriceTerms) -> PriceTerms:
    media = costs.media
    return terms if media is None else terms.for_image(media.size, media.quality)


def _media(media: MediaCosts | None, rates: Rates, target: Target) -> int:
    """What more than text can cost, in nano-dollars times `UNITS`."""
    if media is None:
        return 0
    looked_at = media.images_in * (target.facts.image_tokens or IMAGE_TOKENS)
    return (
        looked_at * max(rates.dearest_input, rates.input_image_tokens)
        + media.image_tokens_out * max(rates.dearest_output, rates.output_image_tokens)
        + media.images_out * rates.images
        + media.characters * rates.characters
        + media.speech_tokens_out * max(rates.dearest_output, rates.output_audio_tokens)
        + media.audio_seconds * rates.audio_seconds
        + media.audio_tokens_in * max(rates.dearest_input, rates.input_audio_tokens)
        + media.text_tokens_out * rates.dearest_output
        + media.searches * rates.searches
    )


def _media_tokens(media: MediaCosts | None, target: Target) -> int:
    """The tokens of prompt among it, which may make the call one of long context."""
    if media is None:
        return 0
    return media.images_in * (target.facts.image_tokens or IMAGE_TOKENS) + media.audio_tokens_in


def _reachable(terms: PriceTerms, tokens: int) -> list[Rates]:
    """The rates of every tier that a prompt of at most so many tokens can have."""
    return [terms.rates, *(tier.rates for tier in terms.tiers if tokens > tier.above)]


def _fixed(costs: CallCosts, rates: Rates, tokens: int) -> int:
    rate = rates.dearest_input
    if costs.audio_in:
        rate = max(rate, rates.input_audio_tokens)
    unused_prediction = costs.prediction_bytes * costs.choices * _output_rate(costs, rates)
    return rates.request + tokens * rate + unused_prediction


def _output_rate(costs: CallCosts, rates: Rates) -> int:
    if costs.audio_out:
        return max(rates.dearest_output, rates.output_audio_tokens)
    return rates.dearest_output


def _unpriced(costs: CallCosts, target: Target, terms: PriceTerms) -> list[str]:
    """Names of what a priced target takes and nothing says how much of, or at which price."""
    tiers = [terms.rates, *(tier.rates for tier in terms.tiers)]
    if not any(any(msgspec.structs.astuple(rates)) for rates in tiers):
        return []  # Whatever it is, it costs nothing.
    window = target.facts.context_window
    names = []
    media = costs.media
    makes_tokens = any(max(rates.dearest_output, rates.output_image_tokens) for rates in tiers)
    if media is not None and media.odd_quality is not None and makes_tokens:
        names.append(media.odd_quality)
    if costs.images and target.facts.image_tokens is None:
        names.append(costs.names.image)
    if costs.files and window is None:
        names.append(costs.names.file)
    if costs.unseen_prompt and window is None:
        names.append(costs.names.unseen_prompt)
    heard = all(rates.input_audio_tokens for rates in tiers)
    if costs.audio_in and (window is None or not heard):
        names.append(costs.names.audio_in)
    if costs.audio_out and not all(rates.output_audio_tokens for rates in tiers):
        names.append(costs.names.audio_out)
    return names
