import gzip
import io
import tarfile

from estimatesync_release.core.layers import Entry, build_gzip, build_tar, compute_digest


def test_a_layer_does_not_depend_on_the_order_in_which_its_files_came() -> None:
    files = {"b/two": Entry(content=b"2"), "a": Entry(content=b"1"), "b/link": Entry(link="two")}

    assert build_tar(files, epoch=7) == build_tar(dict(reversed(files.items())), epoch=7)


def test_a_layer_has_the_directories_above_its_files_and_nothing_of_this_machine() -> None:
    tree = build_tar({"opt/x/run": Entry(content=b"#!", mode=0o755), "opt/x/link": Entry(link="run")}, epoch=7)

    with tarfile.open(fileobj=io.BytesIO(tree)) as archive:
        found = [(each.name, each.mode, each.linkname) for each in archive]
        owners = {(each.uid, each.gid, each.uname, each.gname, each.mtime) for each in archive}
    assert found == [
        ("opt", 0o755, ""),
        ("opt/x", 0o755, ""),
        ("opt/x/link", 0o777, "run"),
        ("opt/x/run", 0o755, ""),
    ]
    assert owners == {(0, 0, "", "", 7)}


def test_a_path_longer_than_a_header_keeps_its_name() -> None:
    path = f"opt/{'long' * 40}/{'name' * 20}.py"

    with tarfile.open(fileobj=io.BytesIO(build_tar({path: Entry()}, epoch=0))) as archive:
        assert archive.getnames()[-1] == path


def test_what_is_compressed_says_neither_when_nor_where() -> None:
    content = b"layer" * 1000

    packed = build_gzip(content)

    assert packed[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    assert gzip.decompress(packed) == content


def test_a_digest_is_written_as_registries_write_it() -> None:
    assert compute_digest(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
