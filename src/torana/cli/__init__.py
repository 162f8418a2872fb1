"""The command line: `torana NOUN VERB`, one file per noun."""
