"""Controllers that are found by the path and the method instead of an operationId."""

from flask.views import MethodView

from tests.serving.gallery.record import note


def search(limit=None):
    note("search", limit=limit)
    return ["all"]


def get(number):
    note("get", number=number)
    return {"number": number}


def post(body):
    note("post", body=body)
    return body, 201


class BooksView(MethodView):
    def __init__(self, shelf: str = "none") -> None:
        self.shelf = shelf

    def search(self, limit=None):
        note("BooksView.search", limit=limit, shelf=self.shelf)
        return ["all"]

    def get(self, number=None, limit=None):
        note("BooksView.get", number=number, limit=limit, shelf=self.shelf)
        return {"number": number}

    def post(self, body):
        note("BooksView.post", body=body, shelf=self.shelf)
        return body, 201
