"""One file over a real HTTP connection that breaks, lies, stalls, redirects or does not know Range."""

import numpy as np
import pytest
from broken_server import serving

from her2kit.errors import FetchError
from her2kit.learning.download import TRIES, Download, NotThere

CONTENT = np.random.default_rng(0).bytes(3_000_000)


@pytest.fixture
def server():
    with serving() as running:
        yield running


def bring(url, tmp_path, **how):
    target = tmp_path / "file.zip"
    Download(tmp_path / "file.zip.part", **{"pause": 0.0, "timeout": (2, 0.5)} | how)(url, str(target))
    return target.read_bytes()


def test_a_file_arrives_and_nothing_else_stays(server, tmp_path):
    seen = []
    url = server.put("/a", CONTENT)
    assert bring(url, tmp_path, progress=lambda done, total: seen.append((done, total))) == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert sorted(seen) == seen
    assert [p.name for p in tmp_path.iterdir()] == ["file.zip"]


def test_a_broken_connection_costs_only_what_was_lost(server, tmp_path):
    url = server.put("/a", CONTENT, breaks=2, at=1_000_000)
    assert bring(url, tmp_path) == CONTENT
    assert server.ranges("/a") == [None, "bytes=1000000-", "bytes=2000000-"]


def test_as_many_breaks_as_it_takes_while_each_brings_more(server, tmp_path):
    url = server.put("/a", CONTENT, breaks=14, at=200_000)
    assert bring(url, tmp_path) == CONTENT
    assert len(server.asked) == 15 > TRIES


def test_the_next_run_goes_on_where_the_last_one_stopped(server, tmp_path):
    url = server.put("/a", CONTENT, breaks=1, at=1_200_000)
    server.files["/a"].statuses = []
    with pytest.raises(KeyboardInterrupt):
        bring(url, tmp_path, progress=interrupt)
    there = (tmp_path / "file.zip.part").stat().st_size
    assert 0 < there < len(CONTENT)
    assert bring(url, tmp_path) == CONTENT
    assert server.ranges("/a")[1] == f"bytes={there}-"


def interrupt(done, total):
    raise KeyboardInterrupt


def test_a_file_that_changed_meanwhile_is_not_pieced_together(server, tmp_path):
    url = server.put("/a", b"x" * len(CONTENT), breaks=1, at=1_000_000)
    with pytest.raises(KeyboardInterrupt):
        bring(url, tmp_path, progress=interrupt)
    server.put("/a", CONTENT, etag='"two"')
    assert bring(url, tmp_path) == CONTENT


def test_pieces_of_another_address_are_not_used(server, tmp_path):
    one, two = server.put("/one", b"x" * len(CONTENT)), server.put("/two", CONTENT)
    with pytest.raises(KeyboardInterrupt):
        bring(one, tmp_path, progress=interrupt, known_hash=True)
    assert bring(two, tmp_path, known_hash=True) == CONTENT
    assert server.ranges("/two") == [None]


@pytest.mark.parametrize(("known_hash", "asked"), [(True, "bytes=1000000-"), (False, None)])
def test_without_a_word_of_the_server_pieces_join_only_if_a_hash_checks_them(
    server, tmp_path, known_hash, asked
):
    url = server.put("/a", CONTENT, breaks=1, at=1_000_000, etag=None)
    assert bring(url, tmp_path, known_hash=known_hash) == CONTENT
    assert server.ranges("/a") == [None, asked]


def test_a_server_that_does_not_know_range_starts_anew(server, tmp_path):
    url = server.put("/a", CONTENT, breaks=2, at=1_000_000, ranges=False)
    assert bring(url, tmp_path) == CONTENT


def test_a_server_that_always_breaks_at_the_same_place_is_given_up(server, tmp_path):
    url = server.put("/a", CONTENT, breaks=99, at=1_000_000, ranges=False)
    with pytest.raises(FetchError, match=rf"broke off after 1000000 of 3000000 bytes; tried {TRIES} times"):
        bring(url, tmp_path)
    assert len(server.asked) == TRIES
    assert not (tmp_path / "file.zip").exists()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_server_that_announces_more_than_it_has_is_not_believed(server, tmp_path, ranges):
    url = server.put("/a", CONTENT, announced=len(CONTENT) + 500, ranges=ranges)
    with pytest.raises(FetchError, match="tried"):
        bring(url, tmp_path)
    assert not (tmp_path / "file.zip").exists()


def test_a_wrong_announcement_does_no_harm_where_a_hash_checks_the_file(server, tmp_path):
    url = server.put("/a", CONTENT, announced=len(CONTENT) + 500)
    assert bring(url, tmp_path, known_hash=True) == CONTENT


def test_a_length_other_than_the_published_one_ends_it_at_once(server, tmp_path):
    url = server.put("/a", CONTENT)
    with pytest.raises(FetchError, match="is 3000000 bytes long, not 2999999"):
        bring(url, tmp_path, size=len(CONTENT) - 1)
    assert len(server.asked) == 1


def test_an_answer_without_end_is_cut_off(server, tmp_path):
    url = server.put("/a", b"z" * 100_000, length=False, endless=True)
    with pytest.raises(FetchError, match="sends more than 1000000 bytes"):
        bring(url, tmp_path, at_most=1_000_000)
    assert (tmp_path / "file.zip.part").stat().st_size <= 1_000_000


def test_a_file_whose_length_is_not_said_arrives(server, tmp_path):
    assert bring(server.put("/a", CONTENT, length=False), tmp_path) == CONTENT


def test_redirects_are_followed_and_resumed(server, tmp_path):
    server.put("/b", CONTENT, breaks=1, at=500_000)
    url = server.put("/a", b"", redirect=f"{server.url}/b")
    assert bring(url, tmp_path) == CONTENT
    assert server.ranges("/b") == [None, "bytes=500000-"]


def test_a_circle_of_redirects_is_left_at_once(server, tmp_path):
    url = server.put("/a", b"", redirect=f"{server.url}/a")
    with pytest.raises(FetchError, match="leads in a circle"):
        bring(url, tmp_path)


def test_a_slow_server_is_waited_for_and_a_stalled_one_given_up(server, tmp_path):
    url = server.put("/a", CONTENT, wait=0.2)
    assert bring(url, tmp_path) == CONTENT
    url = server.put("/b", CONTENT, wait=1.0)
    with pytest.raises(FetchError, match="broke off after 0 of 3000000 bytes; tried"):
        bring(url, tmp_path, timeout=(1, 0.1))


def test_a_busy_server_is_asked_again(server, tmp_path):
    assert bring(server.put("/a", CONTENT, statuses=[503, 429]), tmp_path) == CONTENT


@pytest.mark.parametrize(("status", "kind"), [(404, NotThere), (410, NotThere), (403, FetchError)])
def test_a_refusal_is_final(server, tmp_path, status, kind):
    url = server.put("/a", CONTENT, statuses=[status] * 9)
    with pytest.raises(kind, match=str(status)):
        bring(url, tmp_path)
    assert len(server.asked) == 1


def test_a_web_page_is_not_the_file(server, tmp_path):
    url = server.put("/a", b"<html>log in</html>", kind="text/html; charset=utf-8")
    with pytest.raises(FetchError, match="answers with a web page"):
        bring(url, tmp_path)


def test_nobody_there(tmp_path):
    with serving() as server:
        url = server.url
    with pytest.raises(FetchError, match=f"{url}/a: cannot be reached; tried {TRIES} times"):
        bring(f"{url}/a", tmp_path)


def test_a_part_that_is_whole_needs_only_to_be_named(server, tmp_path):
    """A run that ended between the last byte and the renaming."""
    url = server.put("/a", CONTENT)
    with pytest.raises(KeyboardInterrupt):
        bring(url, tmp_path, progress=lambda done, total: interrupt(0, 0) if done == total else None)
    assert (tmp_path / "file.zip.part").stat().st_size == len(CONTENT)
    assert bring(url, tmp_path) == CONTENT
    assert server.ranges("/a")[-1] == "bytes=3000000-"
