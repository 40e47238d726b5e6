#!/usr/bin/env bash
# Pushes the images and the chart that `make release` left in build/release, and signs each by its digest:
#
#   deploy/release/publish.sh ghcr.io/OWNER 1.0.0
#
# Nothing is built here: skopeo, buildah and Helm move what is there, so that the registry has the digests of the release.
# You must be logged in to the registry. cosign signs as the workflow that runs this, without a key; COSIGN_OPTIONS may say
# otherwise, and TLS_VERIFY=false allows a registry without TLS, as the tests have.
set -euo pipefail

registry=${1:?Say where to push: publish.sh REGISTRY VERSION} version=${2:?Say which version: publish.sh REGISTRY VERSION}
tls_verify=${TLS_VERIFY:-true}
read -ra cosign_options <<<"${COSIGN_OPTIONS:---yes}"
helm_options=()
[ "$tls_verify" = true ] || helm_options=(--plain-http)

cd "$(dirname "$0")/../../build/release"
[ -f "estimatesync-$version.tgz" ] || { echo "There is no release $version: make release VERSION=$version" >&2; exit 1; }
sha256sum --check --quiet SHA256SUMS
scratch=$(mktemp --directory)
trap 'rm -rf "$scratch"' EXIT

# One image for each architecture by its own tag, and an index of both by the version, which is what people name.
for archive in images/*-amd64.oci.tar; do
  name=$(basename "$archive" -amd64.oci.tar)
  image=$registry/$name
  buildah manifest rm "$name" >/dev/null 2>&1 || true
  buildah manifest create "$name" >/dev/null
  for architecture in amd64 arm64; do
    skopeo copy --quiet --preserve-digests --dest-tls-verify="$tls_verify" --digestfile "$scratch/digest" \
      "oci-archive:images/$name-$architecture.oci.tar" "docker://$image:$version-$architecture"
    digest=$(cat "$scratch/digest")
    cosign attest "${cosign_options[@]}" --type spdxjson --predicate "$name-$architecture.spdx.json" "$image@$digest"
    buildah manifest add --tls-verify="$tls_verify" "$name" "docker://$image@$digest" >/dev/null
  done
  buildah manifest push --quiet --all --format oci --tls-verify="$tls_verify" --digestfile "$scratch/digest" \
    "$name" "docker://$image:$version"
  buildah manifest rm "$name" >/dev/null
  cosign sign "${cosign_options[@]}" --recursive "$image@$(cat "$scratch/digest")"
  echo "$image:$version@$(cat "$scratch/digest")"
done

helm push "${helm_options[@]}" "estimatesync-$version.tgz" "oci://$registry/charts" 2>&1 | tee "$scratch/pushed"
digest=$(sed -n 's/^Digest: *//p' "$scratch/pushed")
cosign sign "${cosign_options[@]}" "$registry/charts/estimatesync@$digest"

cosign sign-blob "${cosign_options[@]}" --bundle SHA256SUMS.sigstore.json SHA256SUMS >/dev/null
