"""The edge of HTTP: routes, who may use them, and errors in the caller's dialect."""
