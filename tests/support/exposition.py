"""What /metrics says, read as Prometheus reads it."""

from collections import Counter

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.process import Gunicorn


class Scrape:
    """One answer of /metrics."""

    def __init__(self, service: Gunicorn) -> None:
        answer = requests.get(f"{service.url}/metrics", timeout=20)
        assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (200, "text/plain")
        self.samples = [
            sample for family in text_string_to_metric_families(answer.text) for sample in family.samples
        ]

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name that have these labels, with or without others."""
        return sum(
            each.value for each in self.samples if each.name == name and labels.items() <= each.labels.items()
        )

    def has(self, name: str, **labels: str) -> bool:
        """Whether there is such a sample."""
        return any(each.name == name and labels.items() <= each.labels.items() for each in self.samples)

    def answers(self) -> "Counter[tuple[str, str, str]]":
        """How many requests were answered, by operation, method and status."""
        found: Counter[tuple[str, str, str]] = Counter()
        for each in self.samples:
            if each.name == "swagger_server_request_duration_seconds_count":
                found[each.labels["operation"], each.labels["method"], each.labels["status"]] += round(
                    each.value
                )
        return found

    def labels(self) -> dict[str, set[str]]:
        """The names of the labels of each name."""
        found: dict[str, set[str]] = {}
        for each in self.samples:
            found.setdefault(each.name, set()).update(each.labels)
        return found
