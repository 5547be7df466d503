"""Requests to paths, and with parameters in the address, the headers and the cookies."""

from collections.abc import Iterator

from tests.serving.calls.making import gets
from tests.serving.sides import Call

PATHS = r"""
    /path/string/plain /path/string/a%20b /path/string/a%2Fb /path/string/a%252Fb /path/string/%C3%BC
    /path/string/%E2%82%AC%F0%9F%98%80 /path/string/%FF /path/string/a+b /path/string/a;b=c
    /path/string/.. /path/string/. /path/string/%2E%2E /path/string/../no-slash /path/string/~x!$&'()*,:@
    /path/string/%00 /path/string/%0A /path/string/a%3Fb /path/string/much-too-long-a-text /path/string/
    /path/string /path/string/a/b /path/string/a/ /path/string//a /path/string/null /path/string/1
    /path/integer/0 /path/integer/12 /path/integer/-3 /path/integer/+3 /path/integer/%2B3
    /path/integer/007 /path/integer/1000 /path/integer/1001 /path/integer/1.0 /path/integer/1e2
    /path/integer/abc /path/integer/%D9%A3 /path/integer/123456789012345678901234567890 /path/integer/1_0
    /path/integer/ /path/integer/12/ /path/number/1 /path/number/1.5 /path/number/-1.5 /path/number/-11
    /path/number/.5 /path/number/5. /path/number/+5 /path/number/1e3 /path/number/nan /path/number/.
    /path/number/- /path/boolean/true /path/boolean/False /path/boolean/1 /path/boolean/yes /path/file/a
    /path/file/a/b/c.txt /path/file/a%2Fb /path/file/a//b /path/file/a/../b /path/file/a/ /path/file/
    /path/file//a /path/list/1,2,3 /path/list/1 /path/list/1,2,3,4 /path/list/a,b /path/list/1,,2
    /path/list/1%2C2 /path/dashed/abc /path/dashed/ABC /path/dashed-number/5 /path/dashed-number/50
    /path/enum/red /path/enum/dark%20blue /path/enum/blue
    /path/format/6ba7b810-9dad-11d1-80b4-00c04fd430c8/x
    /path/format/6BA7B810-9DAD-11D1-80B4-00C04FD430C8/x /path/camel/x /path/two/a-1 /path/two/a-b-2
    /path/two/a-b /path/two/1 /fixed-first/fixed /fixed-first/other /fixed-first/fixed/ /by-type/5
    /by-type/five /by-type/5/more /slash/ /slash /slash// /no-slash /no-slash/ /no-slash?x=1
    /no-slash/?x=1 / // //no-slash /./no-slash /path/../no-slash /%6Eo-slash /NO-SLASH
    /%C3%BC%C3%B1%C3%AD/x /unknown /path /path/unknown/x /no-slash%20 /no-slash;v=1
"""

QUERIES = {
    "/query/scalars": r"""
    text=abc text=a text=abcdef text= text=%C3%BC%C3%BC text=%FFab text=a+b text=a%2Bb text=null text
    text=ab&text=cd text=cd&text=a number=5 number=0 number=101 number=5.0 number=abc number= number=%205
    number=1e1 number=1_0 number=null number=none number=-5 number=%2B5 number=1&number=2 number=%D9%A3
    ratio=0.5 ratio=0 ratio=0.7 ratio=1e1 ratio=nan ratio=inf ratio=1e400 ratio=x flag=true flag=TRUE
    flag=false flag=1 flag=yes flag= colour=red colour=blue colour=RED size=2 size=3 size=2.0 code=ABC
    code=abcd limit=3 limit= ratio_default=1 maybe=1 maybe=null maybe=None maybe=NULL maybe=x empty= empty
    unknown=1 unknown text=ab&number=5&flag=false&colour=green text=ab;number=5 && = =x ?text=ab
    text=ab#fragment text=a=b %74ext=ab te%xt=1 Text=ab text[]=ab text%5B0%5D=ab
    """,
    "/query/required": r"""
    needed=x number=1 needed=x&number=1 needed=&number=1 needed=null&number=1 needed=x&number=null
    needed=x&number=1&extra=1
    """,
    "/query/arrays": r"""
    plain=a plain=a,b plain=a&plain=b plain=a,b&plain=c plain=a&plain=b&plain=c&plain=d plain= plain=,
    plain=a%2Cb exploded=1&exploded=2 exploded=1,2 exploded=x joined=1,2 joined=1&joined=2 joined=1,1
    joined=1,x piped=a|b piped=a%7Cb piped=a|b&piped=c piped=a,b spaced=1%202.5 spaced=1+2 spaced=1,2
    colours=red,green colours=red,blue colours= flags=true,false flags=true,maybe usual=3 usual=3,x
    plain[]=a
    """,
    "/query/deep": r"""
    filter[name]=ada filter[name]=a filter[age]=5 filter[age]=x filter[name]=ada&filter[age]=5
    filter[inner][ratio]=0.5 filter[inner][ratio]=x filter[unknown]=1 filter%5Bname%5D=ada filter=ada
    filter filter[]=ada filter[name filter[name]=ada&filter[name]=bob filterx[name]=ada page[number]=2
    page[size]=5 page[number]=2&page[size]=x page[number]=2&filter[age]=1 other[name]=1
    """,
    "/query/content": r"""
    document={} document=%7B%22a%22%3A1%7D document=x document=[1]
    """,
    "/query/names": r"""
    camelCase=a id=5 id=x class=first dashed-name=a $top=3 %24top=3 $top=x in[brackets]=a notTaken=a
    camel_case=a camelCase=a&id=1&class=c&dashed-name=d&$top=1&in[brackets]=e
    """,
    "/query/keywords": r"""
    one=a one=a&two=3 two=x camelCase=a unknown=1
    """,
    "/query/references": r"""
    limit=50 limit=51 colour=red colour=blue
    """,
}
"""By the path. All of them are asked without any query, too."""

HEADERS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/headers", {}),
    ("/headers", {"X-Text": "abc"}),
    ("/headers", {"X-Text": "abcdef"}),
    ("/headers", {"x-text": "abcdef"}),
    ("/headers", {"X-Colour": "red"}),
    ("/headers", {"X-Colour": "blue"}),
    ("/headers", {"X-Number": "5"}),
    ("/headers", {"X-Unknown": "5"}),
    ("/headers", {"X-Text": "\xfc"}),
    ("/headers/required", {}),
    ("/headers/required", {"X-Needed": "abc"}),
    ("/headers/required", {"X-Needed": "ABC"}),
    ("/headers/required", {"X-Needed": ""}),
    ("/cookies", {}),
    ("/cookies", {"Cookie": "flavour=vanilla"}),
    ("/cookies", {"Cookie": "flavour=salt"}),
    ("/cookies", {"Cookie": "other=1; flavour=mint"}),
    ("/cookies", {"Cookie": 'flavour="mint"'}),
    ("/cookies/required", {}),
    ("/cookies/required", {"Cookie": "visit=12"}),
    ("/cookies/required", {"Cookie": "visit=1"}),
    ("/cookies/required", {"Cookie": "visit="}),
    ("/cookies/required", {"Cookie": "garbage"}),
    ("/cookies/required", {"Cookie": "a=b; visit=a%20b; c"}),
)


def paths(base: str) -> Iterator[Call]:
    yield from gets(base, "", *PATHS.split())
    # Under another base path, one of the same length and others.
    for other in (f"/{'x' * (len(base) - 1)}", base.upper(), f"{base}x", f"/x{base}", ""):
        yield from gets(other, "", "/path/string/plain", "/path/integer/12", "/no-slash")


def queries(base: str) -> Iterator[Call]:
    for path, given in QUERIES.items():
        yield from gets(base, path, *(f"{path}?{query}" for query in given.split()))


def headers(base: str) -> Iterator[Call]:
    for path, given in HEADERS:
        yield Call("GET", base + path, tuple(given.items()))
    yield Call("GET", f"{base}/headers", (("X-Text", "a"), ("X-Text", "b")))
    yield Call("GET", f"{base}/cookies", (("Cookie", "flavour=mint"), ("Cookie", "other=1")))
