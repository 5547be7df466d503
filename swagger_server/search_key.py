"""The key under which a name is found: the one folding of names that the data and the search share.

Owns the rules; knows neither the database nor HTTP. After a change here the places have to be loaded again.
"""

import unicodedata

# Letters that Unicode does not take apart, in the spelling that people type without them.
_LETTERS = {
    "æ": "ae",
    "œ": "oe",
    "ø": "o",
    "ł": "l",
    "đ": "d",
    "ð": "d",
    "þ": "th",
    "ħ": "h",
    "ŧ": "t",
    "ŋ": "n",
    "ı": "i",
    "ə": "e",
    "ɓ": "b",
    "ɗ": "d",
    "ƙ": "k",
}
# Apostrophes and what romanisations use as such ("Xi'an" is typed "xian"), full stops ("St. John's": "st
# johns"), and characters that cannot be seen.
_DROPPED = frozenset("'’‘`´ʹʺʻʼʽʾʿˈ′″.\u00ad\u200b\u200c\u200d\u2060\ufeff")
# Accents, and the vowel points of Hebrew and Arabic. Other scripts' marks (dakuten, vowel signs) are letters.
_ACCENTS = (
    range(0x0300, 0x0370),
    range(0x0483, 0x048A),
    range(0x0591, 0x05C8),
    range(0x064B, 0x0660),
    range(0x0670, 0x0671),
    range(0x1DC0, 0x1E00),
)
_LAST_KEPT = 0xFFFF


def _fold(char: str) -> str:
    if char in _LETTERS:
        return _LETTERS[char]
    category = unicodedata.category(char)
    if char in _DROPPED or (category == "Mn" and any(ord(char) in marks for marks in _ACCENTS)):
        return ""
    return " " if category[0] in "PSZC" else char


class _Folds(dict[int, str]):
    """Code point -> what it becomes, worked out when it is first met.

    Only the basic plane is kept: what strangers type cannot make it grow beyond that.
    """

    def __missing__(self, code: int) -> str:
        folded = _fold(chr(code))
        if code <= _LAST_KEPT:
            self[code] = folded
        return folded


_FOLDS = _Folds()


def search_key(text: str) -> str:
    """Fold a name, or what somebody has typed of one: no case, no accents, one space between words.

    "Saint-Étienne" -> "saint etienne", "Łódź" -> "lodz", "Xi'an" -> "xian", "МОСКВА" -> "москва". Folding a
    key again changes nothing. A text without any letter or digit gives "".
    """
    lower = text.lower() if text.isascii() else _decompose(_decompose(text).casefold())
    return " ".join(lower.translate(_FOLDS).split())


def _decompose(text: str) -> str:
    # Hangul stays taken apart: a syllable that is still being typed is then a prefix of the whole one.
    return unicodedata.normalize("NFKD", text)
