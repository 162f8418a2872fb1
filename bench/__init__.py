"""Load measurements of the gateway: an upstream simulator, a load driver, runs over both."""
