"""What is told of the near cache: asked when somebody reads the page, and added up over workers."""

from __future__ import annotations

from authz_sidecar.observe.metrics import Metrics, render
from authz_sidecar.observe.snapshot import merge
from authz_sidecar.sealing import SecretKeys
from authz_sidecar.sessions import MemoryStore
from authz_sidecar.sessions.cache import NearCache


async def worker(*, hits: int) -> tuple[Metrics, NearCache]:
    cache = NearCache(MemoryStore(), secret_keys=SecretKeys([b"k" * 32]), idle_timeout=60.0)
    cache.start()
    cache.stats.hits = hits
    metrics = Metrics(version="1", with_process_metrics=False)
    metrics.track_near_cache(cache)
    return metrics, cache


async def test_every_worker_has_a_memory_of_its_own() -> None:
    parent = Metrics(version="1", with_process_metrics=False)
    workers = [await worker(hits=hits) for hits in (3, 4)]
    await workers[1][1].aclose()
    lines = render(merge(parent.snapshot(), [each.snapshot() for each, _ in workers])).decode()
    assert 'authz_near_cache_lookups_total{from="memory"} 7.0' in lines
    assert 'authz_near_cache_lookups_total{from="store"} 0.0' in lines
    assert "authz_near_cache_coherent 1.0" in lines
    assert "authz_near_cache_refused 0.0" in lines
    await workers[0][1].aclose()
