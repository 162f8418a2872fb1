"""The one path of a call: plan, admit, call the provider, fold its usage, post."""
