# Everything a developer needs, as commands that set up what they use. `make help` lists them.

PROXY ?= traefik
PORT ?=
CHECK ?=
ARGS ?=

PY = .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help abuse bench bench-report bench-policy bench-micro demo test lint format types e2e docs nginx-includes clean .demo-ready .dev-ready .test-ready

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .demo-ready ## try it: a proxy, a provider, an app and the sidecar (PROXY=traefik|envoy|caddy|nginx PORT=8080 CHECK=1)
	@exec $(PY) -m authz_sidecar demo --proxy "$(PROXY)" --directory .demo \
	  $(if $(PORT),--port "$(PORT)") $(if $(filter-out 0 no false,$(CHECK)),--check)

test: .test-ready ## install what the tests need and run all of them (ARGS="-k pages")
	@$(PY) -m pytest -n 2 --dist loadgroup $(if $(CI),-p tests.nothing_skipped) $(ARGS)

e2e: .test-ready ## the end-to-end tests alone: real proxies, providers and a browser
	@$(PY) -m pytest -n 2 --dist loadgroup $(if $(CI),-p tests.nothing_skipped) tests/e2e $(ARGS)

bench: .test-ready ## measure what is claimed about speed and size, within 12 minutes (ARGS="--only services --seconds 2")
	@sh -c '. tools/apt.sh; command -v wrk >/dev/null || { may_use_apt && apt_install wrk; }' || true
	@$(PY) -m benchmarks.bench $(ARGS)

bench-report: .dev-ready ## write docs/performance.md and its plots from what `make bench` measured last
	@$(PY) -m benchmarks.report

bench-policy: .dev-ready ## what routes and policies cost: matching, deciding, loading, memory
	@$(PY) -m benchmarks.policy $(ARGS)

bench-micro: .dev-ready ## what the steps of a check cost, one by one (ARGS="-k cookie")
	@$(PY) -m pytest benchmarks -p benchmark -p no:xdist --benchmark-min-time=0.001 \
	  --benchmark-columns=median,iqr,min,max,rounds,iterations $(ARGS)

abuse: .test-ready ## slow, oversized, endless and made-up requests in bulk, and what they cost (ARGS="--only cookies")
	@$(PY) -m benchmarks.abuse $(ARGS)

lint: .dev-ready ## ruff, formatting and types, changing nothing
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

format: .dev-ready ## bring the sources into shape
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

types: .dev-ready ## mypy --strict
	@$(PY) -m mypy

docs: .dev-ready ## write docs/configuration.md and the tree in docs/architecture.md again
	@$(PY) -m authz_sidecar schema --markdown > .venv/configuration.md
	@mv .venv/configuration.md docs/configuration.md
	@$(PY) tools/package_tree.py

nginx-includes: .dev-ready ## write the includes in deploy/nginx/authz that are derived from the others again
	@$(PY) -c "from pathlib import Path; from authz_sidecar.snippets import upstream_modules; \
	  upstream_modules.write_derived_includes(Path('deploy/nginx/authz'))"

clean: ## remove what these commands made
	@rm -rf .venv .demo build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@rm -rf tests/servers/oidc_provider/node_modules
	@find authz_sidecar benchmarks tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

.demo-ready:
	@sh tools/venv.sh demo

.dev-ready:
	@sh tools/venv.sh dev

.test-ready: .dev-ready
	@sh tools/test-machine.sh
