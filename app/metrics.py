"""What Prometheus may count. Gauges that need the database are read when it asks (``http/health.py``)."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

requests = Histogram(
    "em_http_request_seconds", "Time to answer a request.", ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)  # fmt: skip
launches = Counter("em_launches_total", "Launches by what became of them.", ["outcome"])
stops = Counter("em_stops_total", "Stops asked for, by how they were carried out.", ["how"])
sends = Counter(
    "em_messages_total", "Messages for Zocalo, by kind and by whether the broker confirmed.", ["kind", "outcome"]
)
broker_connected = Gauge(
    "em_broker_connected",
    "1 while the relay can send: connected, and nothing known that keeps messages from arriving.",
    multiprocess_mode="mostrecent",
)
queue_exists = Gauge(
    "em_queue_exists",
    "1 if messages to the queue arrive: it is there and the broker takes them; NaN if that cannot be seen.",
    multiprocess_mode="mostrecent",
)
queue_consumers = Gauge("em_queue_consumers", "How many listen to the queue.", multiprocess_mode="mostrecent")
queue_waiting = Gauge(
    "em_queue_waiting", "Messages in the queue that nobody has taken yet.", multiprocess_mode="mostrecent"
)
queue_dead_letters = Gauge(
    "em_queue_dead_letters", "Messages that Zocalo rejected, anybody's.", multiprocess_mode="mostrecent"
)
resends = Counter("em_resends_total", "Starts that staff sent again.")
retries = Counter("em_transaction_retries_total", "Transactions that ran again after a lock wait or a deadlock.")
looks = Counter("em_file_looks_total", "Looks at the visits' file system, by outcome.", ["outcome"])
