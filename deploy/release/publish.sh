#!/usr/bin/env bash
# Pushes the images and the chart that `make release` left in build/release, and signs each by its digest:
#
#   deploy/release/publish.sh ghcr.io/OWNER 1.0.0
#
# Nothing is built here: skopeo and Helm move what is there, so that the registry has the digests of the release. You must be
# logged in to the registry. cosign signs as the workflow that runs this, without a key; COSIGN_OPTIONS may say otherwise, and
# TLS_VERIFY=false is for a registry without TLS, and RELEASE for files that are elsewhere: `make test-release` has all three.
set -euo pipefail

usage='publish.sh REGISTRY VERSION'
registry=${1:?Say where to push: $usage} version=${2:?Say which version: $usage}
tls_verify=${TLS_VERIFY:-true}
read -ra cosign_options <<<"${COSIGN_OPTIONS:---yes}"
helm_options=()
[ "$tls_verify" = true ] || helm_options=(--plain-http)

cd "${RELEASE:-$(dirname "$0")/../../build/release}" && [ -f "estimatesync-$version.tgz" ] ||
  { echo "There is no release $version here: make release VERSION=$version" >&2; exit 1; }
sha256sum --check --quiet SHA256SUMS
list_images='import json, sys
for each in json.load(open(sys.argv[1]))["manifests"]:
    print(each["platform"]["architecture"], each["digest"])'
scratch=$(mktemp --directory)
trap 'rm -rf "$scratch"' EXIT

# The index of a release names an image for each architecture by its digest. Laid out together, skopeo pushes all of them as
# they are: the tag of the version is the very index by whose digest images.yaml names the image.
for index in images/*.index.json; do
  name=$(basename "$index" .index.json)
  image=$registry/$name
  layout=$scratch/$name
  mkdir "$layout"
  for archive in images/"$name"-*.oci.tar; do
    tar --extract --file="$archive" --directory="$layout"
  done
  digest=$(sha256sum "$index" | cut --delimiter=' ' --fields=1)
  cp "$index" "$layout/blobs/sha256/$digest"
  printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s","digest":"sha256:%s","size":%s}]}' \
    application/vnd.oci.image.index.v1+json "$digest" "$(stat --format=%s "$index")" >"$layout/index.json"
  skopeo copy --quiet --all --preserve-digests --dest-tls-verify="$tls_verify" "oci:$layout" "docker://$image:$version"
  cosign sign "${cosign_options[@]}" --recursive "$image@sha256:$digest"
  while read -r architecture manifest; do
    cosign attest "${cosign_options[@]}" --type spdxjson --predicate "$name-$architecture.spdx.json" "$image@$manifest"
  done < <(python3 -c "$list_images" "$index")
  echo "$image:$version@sha256:$digest"
done

helm push "${helm_options[@]}" "estimatesync-$version.tgz" "oci://$registry/charts" 2>&1 | tee "$scratch/pushed"
digest=$(sed -n 's/^Digest: *//p' "$scratch/pushed")
cosign sign "${cosign_options[@]}" "$registry/charts/estimatesync@$digest"

cosign sign-blob "${cosign_options[@]}" --bundle SHA256SUMS.sigstore.json SHA256SUMS >/dev/null
