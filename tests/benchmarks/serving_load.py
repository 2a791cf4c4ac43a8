"""What one client of `fsarctl serve` does, for locust: clip after clip, without a pause."""

import os
from pathlib import Path

from locust import HttpUser, constant, task

CLIP = Path(os.environ["CLIP"]).read_bytes()


class Client(HttpUser):
    """Sends the same clip again and again, and waits for each answer."""

    wait_time = constant(0)

    @task
    def predict(self) -> None:
        """One clip."""
        self.client.post("/predict?support=shapes", data=CLIP, name="predict")
