"""A cluster of two processes, which all tests of the folder share."""

import time

import pytest

try:
    import dask
    import distributed
except ImportError:  # what needs it is not collected
    distributed = None
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="package")
def cluster():
    """Two worker processes of one thread, each watched by a nanny."""
    # a busy machine takes longer to start a worker anew than the cluster would wait before it gives it up
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "120s"}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs=50
        ) as cluster,
    ):
        yield cluster


@pytest.fixture
def client(cluster):
    """A client, after which nothing is left on the cluster."""
    with distributed.Client(cluster) as client:
        client.wait_for_workers(2, timeout=60)
        yield client
        assert left_on(client) == []


def left_on(client):
    """Keys that the scheduler still knows after a while."""
    for _ in range(50):
        keys = client.run_on_scheduler(lambda dask_scheduler: [str(key) for key in dask_scheduler.tasks])
        if not keys:
            break
        time.sleep(0.1)
    return keys
