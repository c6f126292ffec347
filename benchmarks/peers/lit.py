"""The chain behind LitServe with its own batching, on two cores (`python -m benchmarks.peers.lit PORT WORKERS`)."""

import os
import sys

import litserve
from fastapi import Response

from benchmarks.peers.chain import MAX_BATCH, Chain, photo_of

CORES, WORKERS = os.cpu_count() or 1, int(sys.argv[2]) if len(sys.argv) > 2 else 1
"""The cores are divided among the workers: torch's threads of each."""


class Hybrids(litserve.LitAPI):
    """Decode a request, make a batch, write an answer."""

    def setup(self, device):
        """Load the chain, once a worker."""
        self.chain = Chain(CORES // WORKERS)

    def decode_request(self, request):
        """Read a photograph."""
        return photo_of(request)

    def predict(self, photos):
        """Make a batch."""
        return self.chain.make(photos)

    def encode_response(self, output):
        """Answer with a file."""
        return Response(output, media_type="image/png")


if __name__ == "__main__":
    # No wait for a fuller batch, as ours: what has come in while the last batch was made goes together.
    api = Hybrids(max_batch_size=MAX_BATCH, batch_timeout=0.0, api_path="/v1/hybrids")
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=WORKERS, timeout=60)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
