package docker

# An image that Docker's GitHub builder has made from a repository and signed.
docker_github_builder(image, repo) if {
	image.hasProvenance
	some signature in image.signatures
	docker_github_builder_signature(signature, repo)
}

# The same, made from a tag.
docker_github_builder_tag(image, repo, tag) if {
	docker_github_builder(image, repo)
	some signature in image.signatures
	signature.signer.sourceRepositoryRef == concat("", ["refs/tags/", tag])
}

docker_github_builder_signature(signature, repo) if {
	signature.kind == "docker-github-builder"
	signature.type == "bundle-v0.3"
	count(signature.timestamps) > 0
	signer := signature.signer
	signer.certificateIssuer == "CN=sigstore-intermediate,O=sigstore.dev"
	signer.issuer == "https://token.actions.githubusercontent.com"
	signer.runnerEnvironment == "github-hosted"
	signer.sourceRepositoryURI == concat("", ["https://github.com/", repo])
}

# A file from the web that a bundle beside the policy speaks for.
docker_github_builder_bundle(http, filename, repo) if {
	docker_github_builder_signature(artifact_attestation(http, filename), repo)
}

# Who signed a file of a GitHub release.
github_release_attestation(http) := signature if {
	http.schema == "https"
	lower(http.host) == "github.com"
	found := regex.find_all_string_submatch_n(`^/([^/]+/[^/]+)/releases/download/[^/]+/.+$`, http.path, 1)
	signature := github_attestation(http, found[0][1])
}
