"""Controllers of the Swagger 2 part."""

from tests.serving.gallery.record import note


def path(number, items):
    note("path", number=number, items=items)
    return {"number": number, "items": items}


def query(flag, number, text=None, maybe="none", commas=None, piped=None, multi=None):
    note("query", **locals())
    return {"flag": flag, "number": number, "multi": multi}


def header():
    note("header")
    return "seen"


def body(thing):
    note("body", thing=thing)
    return thing


def optional_body(thing):
    note("optional_body", thing=thing)
    return thing


def form(name, age, tags=None):
    note("form", name=name, age=age, tags=tags)
    return {"name": name, "age": age}


def upload(file, title=None):
    note("upload", file=file, title=title)
    return {"name": file.filename, "title": title}


def text():
    note("text")
    return "plain"


def secret(user):
    note("secret", user=user)
    return {"user": user}
