"""What Prometheus is told of the parts that a worker makes."""

from typing import Any

from ray.util.metrics import Counter, Histogram


class PartMetrics:
    """Ray metrics of a worker: rows in and accepted, rejects by reason, seconds a part (`ray_rupantara_…` in Prometheus)."""

    def __init__(self, job: str) -> None:
        """Register the metrics under the job's name."""
        tags = {"job": job}
        self._rows = Counter("rupantara_rows", description="Rows read.", tag_keys=("job",))
        self._accepted = Counter("rupantara_accepted", description="Rows accepted.", tag_keys=("job",))
        self._rejected = Counter("rupantara_rejected", description="Rows rejected.", tag_keys=("job", "reason"))
        bounds = [0.1, 0.3, 1, 3, 10, 30, 100, 300]
        self._seconds = Histogram("rupantara_part_seconds", description="A part.", boundaries=bounds, tag_keys=("job",))
        for metric in (self._rows, self._accepted, self._rejected, self._seconds):
            metric.set_default_tags(tags)

    def add(self, counts: dict[str, Any], seconds: float) -> None:
        """Count one part."""
        for metric, number in ((self._rows, counts["in"]), (self._accepted, counts["accepted"])):
            if number:
                metric.inc(number)
        for reason, number in counts["rejected"].items():
            self._rejected.inc(number, tags={"reason": reason})
        self._seconds.observe(seconds)
