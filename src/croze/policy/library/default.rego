# Images of Docker's that builds load on their own must be signed by their repository's builder:
# the Dockerfile frontend, the SBOM scanner, BuildKit. Anything else is left to other policies, and
# so are references by digest, unknown tags and releases of before there were signatures.
package docker

frontends := {"docker.io/docker/dockerfile", "docker.io/docker/dockerfile-upstream"}

scanner := "docker.io/docker/buildkit-syft-scanner"

buildkit := "docker.io/moby/buildkit"

decision := {"allow": count(refusals) == 0, "deny_msg": [text | some text in refusals]}

refusals contains text if {
	input.image.tag != ""
	must_be_signed
	not well_signed
	text := sprintf("image %s is not allowed by default policy: a verified docker-github-builder signature is required for %s tag", [input.image.ref, input.image.tag])
}

must_be_signed if {
	input.image.fullRepo in frontends
	frontend_tag(input.image.tag)
}

must_be_signed if {
	input.image.fullRepo == scanner
	scanner_tag(input.image.tag)
}

must_be_signed if {
	input.image.fullRepo == buildkit
	buildkit_tag(input.image.tag)
}

well_signed if {
	input.image.fullRepo in frontends
	some signature in input.image.signatures
	docker_github_builder_signature(signature, "moby/buildkit")
	of_release(signature, input.image.tag, {"latest", "labs", "master"}, "refs/tags/dockerfile/", "-labs")
}

well_signed if {
	input.image.fullRepo == scanner
	some signature in input.image.signatures
	docker_github_builder_signature(signature, "docker/buildkit-syft-scanner")
	of_release(signature, input.image.tag, {"latest"}, "refs/tags/", "")
}

well_signed if {
	input.image.fullRepo == buildkit
	some signature in input.image.signatures
	docker_github_builder_signature(signature, "moby/buildkit")
	of_buildkit(signature, input.image.tag)
}

# -- which tags --

frontend_tag(tag) if tag in {"latest", "labs", "master"}

frontend_tag(tag) if at_least(version(tag), [1, 21])

scanner_tag("latest") := true

scanner_tag(tag) if at_least(version(tag), [1, 10])

buildkit_tag(tag) if floating_buildkit(tag)

buildkit_tag(tag) if at_least(numbers_of(buildkit_release(tag)), [0, 27])

floating_buildkit(tag) if {
	some name in {"latest", "master", "nightly"}
	some variant in {"", "-rootless", "-ubuntu"}
	tag == concat("", [name, variant])
	tag != "latest-rootless"
}

floating_buildkit("rootless") := true

floating_buildkit(tag) if regex.match(`^buildx-stable-\d+(-rootless|-gpu)?$`, tag)

# -- versions --

# Major and minor of `1`, `1.21`, `1.21.0`, each with `-labs` or without; a major alone stands for
# its newest minor.
version(tag) := [to_number(found[0][1]), minor_of(found[0][2])] if {
	found := regex.find_all_string_submatch_n(`^(\d+)(?:\.(\d+)(?:\.\d+)?)?(?:-labs)?$`, tag, 1)
	count(found) == 1
}

minor_of("") := 999999

minor_of(text) := to_number(text) if text != ""

at_least(one, other) if one[0] > other[0]

at_least(one, other) if {
	one[0] == other[0]
	one[1] >= other[1]
}

# The release that a tag of BuildKit's is a variant of.
buildkit_release(tag) := found[0][1] if {
	found := regex.find_all_string_submatch_n(`^(v\d+\.\d+\.\d+(?:-rc\d+)?)(?:-rootless|-ubuntu)?$`, tag, 1)
	count(found) == 1
}

numbers_of(release) := [to_number(found[0][1]), to_number(found[0][2])] if {
	found := regex.find_all_string_submatch_n(`^v(\d+)\.(\d+)\.`, release, 1)
}

# -- whether a signature is for the release that a tag means --

of_release(_, tag, floating, _, _) if tag in floating

of_release(signature, tag, floating, prefix, variant) if {
	not tag in floating
	ref := signature.signer.sourceRepositoryRef
	startswith(ref, prefix)
	signed := trim_prefix(ref, prefix)
	is_variant(tag, variant) == is_variant(signed, variant)
	means(trim_suffix(tag, variant), trim_suffix(signed, variant))
}

is_variant(tag, variant) := endswith(tag, variant) if variant != ""

is_variant(_, "") := false

means(tag, signed) if tag == signed

means(tag, signed) if {
	regex.match(`^\d+\.\d+$`, tag)
	version(tag) == version(signed)
}

means(tag, signed) if {
	regex.match(`^\d+$`, tag)
	version(tag)[0] == version(signed)[0]
}

of_buildkit(_, tag) if floating_buildkit(tag)

of_buildkit(signature, tag) if {
	not floating_buildkit(tag)
	signature.signer.sourceRepositoryRef == concat("", ["refs/tags/", buildkit_release(tag)])
}
