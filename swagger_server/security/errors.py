"""Why a token is not taken, for those who need not know the library that found it out."""


class TokenRefused(Exception):
    """The token is not good; `str()` says why, in words of ours."""


class KeysUnavailable(Exception):
    """Nobody can say whether a token is good: there are no keys, or not those of now."""
