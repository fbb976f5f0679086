"""Where files come from: ADD of archives, web and git; contexts of every kind, local and remote."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import zstandard

from tests.e2e.app import base
from tests.e2e.sandbox import Done, Sandbox, execute
from tests.e2e.web import git_daemon, repository, web


@dataclass
class Site:
    """A web server and a git daemon over one folder, with `repo.git` in it."""

    folder: Path
    url: str
    git: str
    commits: dict[str, str]
    seen: list[str]


def tar_of(files: dict[str, str], packing: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(None, f"w:{packing}", out) as archive:  # type: ignore[call-overload]
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.uid = len(text), 0o640, 42
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    commits = repository(folder)
    seen: list[str] = []
    (folder / "file.txt").write_text("from the web\n")
    (folder / "files.tar.gz").write_bytes(tar_of({"a": "1\n", "sub/b": "2\n"}, "gz"))
    context = {"Dockerfile": "FROM scratch\nCOPY which /\n", "which": "tar\n"}
    nested = {f"sub/dir/{name}": text for name, text in context.items()}
    (folder / "context.tar").write_bytes(tar_of(context | nested))
    (folder / "Dockerfile.web").write_text("FROM scratch\nCOPY <<EOF /which\nweb\nEOF\n")
    with web(folder, seen) as url, git_daemon(folder) as git_url:
        yield Site(folder, url, git_url, commits, seen)


def output(desk: Sandbox, tmp_path: Path, *words: str | Path, stdin: bytes | None = None) -> Path:
    """Build into a folder."""
    out = tmp_path / "out"
    desk.croze("build", "-o", f"type=local,dest={out}", *words, stdin=stdin)
    return out


def checked(
    desk: Sandbox, busybox: Path, dockerfile: str, context: Path, *flags: str | Path
) -> Done:
    """Build a Dockerfile that tests itself."""
    file = context.parent / f"{context.name}.Dockerfile"
    file.write_text(dockerfile)
    return desk.croze("build", *base(busybox), "--progress=plain", "-f", file, *flags, context)


def test_add_of_local_archives(desk: Sandbox, busybox: Path) -> None:
    context = desk.context("archives", {"plain": "x"})
    for packing in ("", "gz", "bz2", "xz"):
        name = f"a.tar.{packing}".rstrip(".")
        (context / name).write_bytes(tar_of({"in/file": packing}, packing))
    packed = zstandard.ZstdCompressor().compress((context / "a.tar").read_bytes())
    (context / "a.tar.zst").write_bytes(packed)
    (context / "odd.tar.gz").write_bytes(b"not an archive")
    lines = ["FROM base"]
    for suffix in ("tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst"):
        lines += [f"ADD a.{suffix} /{suffix}/", f"RUN test -f /{suffix}/in/file"]
        lines += [f"RUN test \"$(stat -c '%a %u' /{suffix}/in/file)\" = '640 42'"]
    lines += [
        "ADD odd.tar.gz plain /odd/",
        "RUN test -f /odd/odd.tar.gz -a -f /odd/plain",
        "ADD --unpack=false a.tar.gz /kept/",
        "RUN test -f /kept/a.tar.gz",
        "ADD --chown=7:8 a.tar /owned/",
        "RUN test \"$(stat -c '%a %u %g' /owned/in/file)\" = '640 7 8'",
        "COPY a.tar /copied/",
        "RUN test -f /copied/a.tar",
        "ADD --link a.tar /linked/",
        "RUN test -f /linked/in/file",
    ]
    checked(desk, busybox, "\n".join(lines) + "\n", context)


def test_add_from_the_web(desk: Sandbox, busybox: Path, site: Site) -> None:
    digest = hashlib.sha256((site.folder / "file.txt").read_bytes()).hexdigest()
    dockerfile = f"""\
FROM base
ADD {site.url}/file.txt /one
ADD {site.url}/file.txt /dir/
ADD --checksum=sha256:{digest} --chown=3:4 --chmod=755 {site.url}/file.txt /two
RUN test "$(cat /one)" = "from the web" && test "$(stat -c '%a %Y' /one)" = "600 1640995200"
RUN test -f /dir/file.txt && test "$(stat -c '%a %u %g' /two)" = "755 3 4"
ADD {site.url}/files.tar.gz /packed/
ADD --unpack=true {site.url}/files.tar.gz /unpacked/
RUN test -f /packed/files.tar.gz && test "$(cat /unpacked/sub/b)" = 2
ARG PART=file
ADD --link {site.url}/$PART.txt {site.url}/files.tar.gz /linked/
RUN test -f /linked/file.txt -a -f /linked/files.tar.gz
"""
    context = desk.context("web", {})
    checked(desk, busybox, dockerfile, context)
    before = len(site.seen)
    again = checked(desk, busybox, dockerfile, context).stderr
    assert "RUN test -f /linked/file.txt -a -f /linked/files.tar.gz\n" in again
    assert again.count("CACHED") >= 10
    assert before < len(site.seen)
    wrong = dockerfile.replace(digest, "0" * 64)
    (context.parent / "wrong.Dockerfile").write_text(wrong)
    flags: list[str | Path] = [*base(busybox), "-f", context.parent / "wrong.Dockerfile"]
    done = desk.croze("build", *flags, context, check=False)
    assert done.code == 1
    assert f"digest mismatch sha256:{digest}: sha256:{'0' * 64}" in done.stderr


def test_add_from_git(desk: Sandbox, busybox: Path, site: Site) -> None:
    git, url, commits = f"{site.git}/repo.git", f"{site.url}/repo.git", site.commits
    cases = {
        git: "second",
        f"{git}#side": "side",
        f"{git}#v1": "first",
        f"{git}#refs/heads/side": "side",
        f"{git}#{commits['first']}": "first",
        f"{git}?branch=side": "side",
        f"{git}?tag=v1": "first",
        f"{git}?ref=side&checksum={commits['side']}": "side",
        f"{git}?commit={commits['first'][:12]}&tag=v1": "first",
        url: "second",
        f"{url}#side": "side",
        f"{url}?ref=v1": "first",
        f"{url}?branch=master&fetch-by-commit=false": "second",
    }
    lines = ["FROM base"]
    for number, (source, which) in enumerate(cases.items()):
        lines += [f"ADD {source} /g{number}/", f'RUN test "$(cat /g{number}/which)" = {which}']
        lines += [f"RUN test ! -e /g{number}/.git"]
    lines += [
        f"ADD {git}#side:sub /sub/",
        "RUN test -f /sub/inner/file && test ! -e /sub/which",
        "RUN test \"$(stat -c %a /sub/run /sub/inner/file | tr '\\n' ' ')\" = '755 644 '",
        f"ADD {git}?subdir=sub/inner /inner/",
        "RUN test -f /inner/file",
        f"ADD --keep-git-dir=true {git}#side /kept/",
        "RUN test -f /kept/.git/HEAD",
        f"ADD {url}?keep-git-dir=1 /kept2/",
        "RUN test -f /kept2/.git/HEAD",
        f"ADD --checksum={commits['second']} {git} /sum/",
        f"ADD --chown=5:6 --link {git}#v1:sub /linked/",
        "RUN test \"$(stat -c '%u:%g' /linked/run)\" = 5:6",
    ]
    checked(desk, busybox, "\n".join(lines) + "\n", desk.context("git", {}))


def git_refusals(site: Site) -> dict[str, str]:
    git = f"{site.git}/repo.git"
    return {
        f"ADD {git}?what=1 /": 'unexpected query "what"',
        f"ADD {git}?ref=a&branch=b /": 'ref conflicts: "a" vs "refs/heads/b"',
        f"ADD --checksum={'0' * 40} {git} /": "expected checksum to match " + "0" * 40,
        f"ADD {git}#nothere /": "nothere",
        f"ADD {git}#:none /": "none",
        f"COPY {git} /": "source can't be a git ref for COPY",
        f"COPY {site.url}/file.txt /": "source can't be a URL for COPY",
        f"ADD {site.url}/nothere /": "invalid response status 404",
    }


def test_git_and_web_refusals(desk: Sandbox, site: Site) -> None:
    for line, message in git_refusals(site).items():
        context = desk.context("refused", {"Dockerfile": f"FROM scratch\n{line}\n"})
        done = desk.croze("build", context, check=False)
        assert done.code == 1
        assert message in done.stderr, (line, done.stderr)
        assert f">>> {line}" in done.stderr
        assert "Traceback" not in done.stderr


def test_contexts_come_from_git_and_the_web(desk: Sandbox, site: Site, tmp_path: Path) -> None:
    git = f"{site.git}/repo.git"
    timed = output(desk, tmp_path / "timed", f"{git}?mtime=commit") / "which"
    assert timed.stat().st_mtime == 1580608922
    expected = {
        git: "second",
        f"{git}#side": "side",
        f"{site.url}/repo.git#v1": "first",
        f"{site.url}/context.tar": "tar",
        f"{site.url}/Dockerfile.web": "web",
    }
    for url, which in expected.items():
        assert (output(desk, tmp_path, url) / "which").read_text() == f"{which}\n", url
    out = output(desk, tmp_path / "sub", f"{git}#side:sub")
    assert (out / "inner/file").read_text() == "inner\n"
    out = output(desk, tmp_path / "file", "-f", "sub/Dockerfile", git)
    assert (out / "sub/inner/file").exists()
    own = tmp_path / "Dockerfile"
    own.write_text("FROM scratch\nCOPY which /own\n")
    assert (output(desk, tmp_path / "own", "-f", own, git) / "own").read_text() == "second\n"


def test_logs_of_a_git_context_are_shown_once(desk: Sandbox, site: Site) -> None:
    """A policy is looked for in it before the build, which shares that step."""
    desk.croze("prune", "--all", "--force")
    done = desk.croze("build", "--progress=plain", f"{site.git}/repo.git")
    logs = re.findall(r"^#1 (-?[0-9.]+) (.+)$", done.stderr, re.M)
    assert any(text.endswith("HEAD") for _, text in logs)
    assert len({text for _, text in logs}) == len(logs)
    assert all(float(at) >= 0 for at, _ in logs)


def test_the_daemon_fetches_a_dockerfile(desk: Sandbox, site: Site, tmp_path: Path) -> None:
    """It may reach what the client doesn't."""
    cut_off = {"http_proxy": "http://127.0.0.1:1", "no_proxy": "", "NO_PROXY": ""}
    url, out = f"{site.url}/Dockerfile.web", tmp_path / "out"
    flags = ["build", "--progress=plain", "-o", f"type=local,dest={out}"]
    for context in (str(tmp_path), f"{site.git}/repo.git"):
        done = desk.croze(*flags, "-f", url, context, env=cut_off)
        assert f"[internal] load {url}" in done.stderr
        assert (out / "which").read_text() == "web\n"
        (out / "which").unlink()
    missing = f"{site.url}/none"
    done = desk.croze(*flags, "-f", missing, tmp_path, check=False)
    assert done.code == 1
    assert f"> [internal] load {missing}:" in done.stderr
    assert "invalid response status 404" in done.stderr
    (site.folder / "large").write_bytes(b"#" * (2 * 1024 * 1024 + 1))
    done = desk.croze(*flags, "-f", f"{site.url}/large", tmp_path, check=False)
    assert "bigger than allowed max size (2.097MB)" in done.stderr


def test_git_directory_is_kept_when_asked(desk: Sandbox, site: Site, tmp_path: Path) -> None:
    own = tmp_path / "Dockerfile"
    own.write_text("FROM scratch\nCOPY . /\n")
    flags: list[str | Path] = ["-f", own, "--build-arg", "BUILDKIT_CONTEXT_KEEP_GIT_DIR=1"]
    out = output(desk, tmp_path, *flags, f"{site.git}/repo.git")
    assert (out / ".git/HEAD").exists()
    assert not (output(desk, tmp_path / "b", "-f", own, f"{site.git}/repo.git") / ".git").exists()


@pytest.mark.parametrize("packing", ["", "gz", "bz2", "xz"])
def test_a_tar_on_stdin(desk: Sandbox, tmp_path: Path, packing: str) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY . /\n", "a": "1", "dir/b": "2", ".dockerignore": "a"}
    out = output(desk, tmp_path, "-", stdin=tar_of(files, packing))
    assert (out / "dir/b").read_text() == "2"


def test_a_dockerfile_on_stdin(desk: Sandbox, tmp_path: Path) -> None:
    out = output(desk, tmp_path, "-", stdin=b"FROM scratch\nCOPY <<EOF /a\nhere\nEOF\n")
    assert (out / "a").read_text() == "here\n"
    context = desk.context("stdin", {"one": "1", "two": "2", ".dockerignore": "two\n"})
    out = output(desk, tmp_path / "b", "-f", "-", context, stdin=b"FROM scratch\nCOPY . /\n")
    assert (out / "one").exists()
    assert not (out / "two").exists()


def test_each_dockerfile_and_context_has_its_ignore_file(desk: Sandbox, tmp_path: Path) -> None:
    files = dict.fromkeys(("one", "two", "three", "dir/a", "dir/b"), "x")
    ignores = {
        ".dockerignore": "# all\n*\n!one\n",
        "odd.Dockerfile.dockerignore": "two\n**/a\nodd*\n",
        "odd.Dockerfile": "FROM scratch\nCOPY . /\nCOPY --from=named . /named/\n",
        "Dockerfile": "FROM scratch\nCOPY . /\n",
    }
    context = desk.context("ignores", files | ignores)
    named = desk.context("named", {"in": "", "out": "", ".dockerignore": "out"})
    out = output(desk, tmp_path / "1", context)
    assert os.listdir(out) == ["one"]
    flags: list[str | Path] = [
        "-f",
        context / "odd.Dockerfile",
        "--build-context",
        f"named={named}",
    ]
    out = output(desk, tmp_path / "2", *flags, context)
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    visible = {".dockerignore", "Dockerfile", "one", "three", "dir/b"}
    assert names == visible | {"named/in", "named/.dockerignore"}


def test_an_empty_context(desk: Sandbox, tmp_path: Path) -> None:
    context = desk.context("empty", {})
    out = output(desk, tmp_path, "-f", "-", context, stdin=b"FROM scratch\nCOPY . /got/\n")
    assert os.listdir(out / "got") == []


def test_named_contexts_of_every_scheme(
    desk: Sandbox, busybox: Path, site: Site, local_registry: str
) -> None:
    image = f"{local_registry}/contexts/busybox:1"
    copy = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false"]
    execute([*copy, f"oci:{busybox}:latest", f"docker://{image}"], os.environ)
    dockerfile = """\
FROM pulled
COPY --from=layout /bin/busybox /l
COPY --from=gits which /g
COPY --from=tars context /t
COPY --from=dirs one /d
COPY --from=docker.io/library/replaced:latest one /r
RUN cmp /l /bin/busybox && test "$(cat /g)" = side && tar tf /t | grep which && cmp /d /r
RUN --mount=from=dirs,target=/m test -f /m/one
RUN --mount=from=pulled,target=/m test -f /m/bin/busybox
"""
    context = desk.context("schemes", {})
    folder = desk.context("folder", {"one": "1"})
    contexts = {
        "pulled": f"docker-image://{image}",
        "layout": f"oci-layout://{busybox}",
        "gits": f"{site.git}/repo.git#side",
        "tars": f"{site.url}/context.tar",
        "dirs": str(folder),
        "replaced": str(folder),
    }
    flags: list[str | Path] = [
        f"--build-context={name}={value}" for name, value in contexts.items()
    ]
    said = checked(desk, busybox, dockerfile, context, *flags).stderr
    assert "[context tars] " in said
    assert "[context dirs] load from client" in said


def test_images_as_main_context(desk: Sandbox, local_registry: str, tmp_path: Path) -> None:
    """The Dockerfile may be in it, or be the client's own."""
    files = {"Dockerfile": "FROM scratch\nCOPY which /\n", "which": "image\n"}
    copied = desk.context("files", {**files, "all.Dockerfile": "FROM scratch\nCOPY . /\n"})
    image, layout = f"{local_registry}/contexts/files:1", tmp_path / "layout"
    outputs = [f"-otype=image,name={image},push=true", f"-otype=oci,tar=false,dest={layout}"]
    desk.croze("build", *outputs, "-f", copied / "all.Dockerfile", copied)
    own = tmp_path / "Dockerfile"
    own.write_text("FROM scratch\nCOPY which /own\n")
    for number, context in enumerate((f"docker-image://{image}", f"oci-layout://{layout}")):
        out = output(desk, tmp_path / f"{number}", context)
        assert (out / "which").read_text() == "image\n"
        out = output(desk, tmp_path / f"own{number}", "-f", own, context)
        assert (out / "own").read_text() == "image\n"
    done = desk.croze("build", "oci-layout:///nowhere", check=False)
    assert 'oci-layout reference "oci-layout:///nowhere" could not be resolved' in done.stderr


def test_an_image_replaced_by_a_context(desk: Sandbox, busybox: Path, tmp_path: Path) -> None:
    """A named context brings its image config and its triggers."""
    parent = "FROM base\nENV KEPT=yes\nUSER app\nONBUILD RUN echo fired > /tmp/fired\n"
    context = desk.context("parent", {"Dockerfile": parent})
    layout = tmp_path / "layout.tar"
    desk.croze("build", *base(busybox), "-o", f"type=oci,dest={layout}", context)
    folder = tmp_path / "layout"
    with tarfile.open(layout) as archive:
        archive.extraction_filter = lambda member, _path: member  # which 3.11.2 does not know
        archive.extractall(folder)
    digest = json.loads((folder / "index.json").read_text())["manifests"][0]["digest"]
    dockerfile = """\
FROM lower
RUN test "$KEPT $(id -u) $(cat /tmp/fired)" = "yes 1000 fired"
"""
    flag = f"--build-context=lower=oci-layout://{folder}@{digest}"
    checked(desk, busybox, dockerfile, desk.context("child", {}), flag)


def test_a_layout_of_an_earlier_build_is_read_from_the_client_of_now(
    sandbox: Sandbox, busybox: Path
) -> None:
    """The first build knows the base by name only; the second, a client of its own, needs it."""
    context = sandbox.context("app", {"Dockerfile": "FROM base\n"})
    sandbox.croze("build", *base(busybox), "--output=type=cacheonly", context)
    (context / "Dockerfile").write_text("FROM base\nRUN echo needs it\n")
    sandbox.croze("build", *base(busybox), context)
