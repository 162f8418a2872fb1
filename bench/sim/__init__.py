"""The parts of the upstream simulator: behaviour, answers, account, and the server over them."""
