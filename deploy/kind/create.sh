#!/usr/bin/env bash
# Creates the kind cluster unless it exists, loads the images, and prints how to install. Called by `make kind`.
# KIND_NODE_IMAGE replaces kind's default image of the nodes, for example by kindest/node:v1.34.0.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v kind >/dev/null || { echo "kind is missing: https://kind.sigs.k8s.io/docs/user/quick-start/" >&2; exit 1; }
kind get clusters | grep --quiet --line-regexp estimatesync ||
  kind create cluster --config deploy/kind/kind.yaml --wait 120s ${KIND_NODE_IMAGE:+--image "$KIND_NODE_IMAGE"}
for part in api operator sync; do
  kind load image-archive --name estimatesync ".local/images/$part.tar"
done
cat <<'TEXT'
The cluster is ready, and the images are in it. Next:

  helm install sync charts/estimatesync --namespace estimates --create-namespace --wait \
    --kube-context kind-estimatesync --values deploy/kind/values.yaml --values my-values.yaml

The API is then at http://127.0.0.1:8080. deploy/kind/README.md says how to run the chart's tests on it.
TEXT
