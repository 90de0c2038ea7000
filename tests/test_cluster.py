"""Many workers do what one does, to the byte, whatever happens to them on the way."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from her2kit.cluster import spread as spreading
from her2kit.cluster import workers as crews
from her2kit.cluster.slides import score_on, score_slides
from her2kit.cluster.spread import spread
from her2kit.cluster.workers import local_workers, running_workers
from her2kit.cohort import jobs_of, score_cohort
from her2kit.errors import ClusterError, WorkersLost


@pytest.fixture(scope="module")
def scheduler(environment_kept):
    """Return the address of a cluster that was started by somebody else: two workers of one thread."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50,
        scheduler_kwargs={"allowed_failures": 1},
    ) as cluster:  # fmt: skip
        yield cluster.scheduler_address


@pytest.fixture(scope="module")
def crew(scheduler):
    with running_workers(scheduler) as workers:
        yield workers


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    """Return a manifest of two phantoms, a file that is no slide, and a picture that a gate refuses."""
    from her2kit.phantom.cohort import make_cohort

    folder = tmp_path_factory.mktemp("phantom")
    made = make_cohort(folder / "slides", slides=2, seed=5, size_px=512, sites=1)
    table = pd.read_csv(made)[["path", "slide_id", "label"]]
    table["path"] = [str(Path(made).parent / path) for path in table["path"]]
    (folder / "text.svs").write_text("this is not a slide")
    Image.fromarray(np.full((300, 300, 3), 128, np.uint8)).save(folder / "grey.png")
    more = {"path": ["text.svs", "grey.png"], "slide_id": ["no-slide", "grey"], "label": None}
    table = pd.concat([pd.DataFrame(more).iloc[:1], table, pd.DataFrame(more).iloc[1:]])
    table.to_csv(folder / "manifest.csv", index=False)
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def sequential(cohort, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("one")
    assert score_cohort(jobs_of([], cohort, {"mpp": 0.25, "workers": 1}), out) == ["no-slide"]
    assert sum(pd.read_csv(out / "cohort.csv")["n_cells"].fillna(0)) > 50
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def greys(folder: Path, n: int) -> list[Path]:
    """Write pictures that are refused in no time."""
    paths = [folder / f"g{i}.png" for i in range(n)]
    for path in paths:
        Image.fromarray(np.full((64, 64, 3), 230, np.uint8)).save(path)
    return paths


def quiet(words: str) -> None:
    """Hear that nothing ended."""


def limits(item: int) -> tuple[int, int, int, str, int]:
    import cv2
    import numba

    return item, numba.get_num_threads(), cv2.getNumThreads(), os.environ["OMP_NUM_THREADS"], os.getpid()


def die(folder: Path, item: tuple[str, int]) -> str:
    """End the worker as the kernel does, ``item[1]`` times; leave a file each time the item is done."""
    name, deaths = item
    tries = len(list(folder.glob(f"{name}.try*")))
    (folder / f"{name}.try{tries}").touch()
    if tries < deaths:
        os.kill(os.getpid(), signal.SIGKILL)
    return name


def test_leaving_early_takes_back_what_is_left(crew, tmp_path):
    for _ in spread(crew, limits, range(40), folder=tmp_path, waiting=quiet):
        break
    wait_until(lambda: not any(crew.client.processing().values()))
    assert list(tmp_path.iterdir()) == []


def test_another_version_on_the_workers_is_one_line(crew, tmp_path, monkeypatch):
    monkeypatch.setattr(spreading, "__version__", "9.9")
    with pytest.raises(ClusterError, match=r"her2kit is 9\.9 here and .* on the worker .*; install the same"):
        list(spread(crew, limits, [1], folder=tmp_path, waiting=quiet))


def test_workers_without_the_code_are_one_line(crew, tmp_path, monkeypatch):
    module = type(sys)("only_here")
    exec("def work(item):\n    return item", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(
        ClusterError, match=r"cannot run her2kit .*only_here.*install the same version"
    ) as caught:
        list(spread(crew, module.work, [1], folder=tmp_path, waiting=quiet))
    assert "\n" not in str(caught.value)


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path):
    from her2kit import __version__

    for mark, cwd, words in (
        (tmp_path / "gone/mark", tmp_path, f"does not see {tmp_path}/gone; give --out a folder that all"),
        (tmp_path, tmp_path / "away", f"does not see {tmp_path}/away .No such file"),
    ):
        with pytest.raises(ClusterError, match=words):
            spreading._on_worker(__version__, str(cwd), str(mark), b"")


def test_two_workers_write_what_one_does_to_the_byte(crew, scheduler, cohort, sequential, tmp_path, capsys):
    jobs = jobs_of([], cohort, {"mpp": 0.25})
    assert score_slides(jobs, tmp_path, scheduler=scheduler) == ["no-slide"]
    assert files(tmp_path) == files(sequential)
    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 3
    assert "[1/4] no-slide: failed: " in said.err
    assert "1 of 4 slides failed: no-slide" in said.err

    # Resumed: what is whole stays as it is, and what is missing comes back the same.
    gone = tmp_path / jobs[1].slide_id / "score.json"
    gone.unlink()
    kept = tmp_path / jobs[2].slide_id / "score.json"
    before = kept.stat().st_mtime_ns
    score_on(crew, jobs, tmp_path, resume=True)
    assert kept.stat().st_mtime_ns == before
    assert files(tmp_path) == files(sequential)


def test_a_place_that_cannot_be_written_to_fails_that_slide_and_resumes(crew, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "g1").write_text("in the way")
    jobs = jobs_of(greys(tmp_path, 3), None, {"mpp": 0.25})
    assert score_on(crew, jobs, out) == ["g1"]
    words = capsys.readouterr().err
    assert f"[2/3] g1: failed: {out / 'g1'}: " in words
    assert "check the place, its rights and the free disk" in words
    (out / "g1").unlink()
    assert score_on(crew, jobs, out, resume=True) == []
    assert pd.read_csv(out / "cohort.csv")["slide_id"].tolist() == ["g0", "g1", "g2"]


def test_a_slide_given_up_is_named_and_the_others_are_there(crew, tmp_path, capsys, monkeypatch):
    from her2kit.cluster import slides

    monkeypatch.setattr(slides, "spread", lambda crew, work, items, **_: iter([(1, None)]))
    jobs = jobs_of(greys(tmp_path, 2), None, {"mpp": 0.25})
    assert score_on(crew, jobs, tmp_path) == ["g1"]
    assert "[2/2] g1: failed: the worker that took it died, each time" in capsys.readouterr().err


def test_a_scheduler_that_ends_in_the_middle_is_one_line(tmp_path, monkeypatch):
    from distributed import LocalCluster

    def end(words):
        cluster.close()

    monkeypatch.setattr(spreading, "QUIET_S", 0.2)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=50) as cluster,
        running_workers(cluster.scheduler_address) as workers,
        pytest.raises(WorkersLost, match=r"lost the connection to tcp://.*--resume goes on"),
    ):
        list(spread(workers, limits, [1, 2], folder=tmp_path, waiting=end))


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_workers_killed_in_the_middle_lose_and_double_nothing(crew, cohort, sequential, tmp_path):
    pids = crew.client.run(os.getpid).values()
    (tmp_path / ".part-mine").mkdir()

    def kill() -> None:
        wait_until(lambda: list(tmp_path.glob("*/score.json")))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    score_on(crew, jobs_of([], cohort, {"mpp": 0.25}), tmp_path)
    killer.join()
    assert [path.name for path in tmp_path.glob(".*")] == [".part-mine"]
    assert files(tmp_path) == files(sequential)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_dead_worker_costs_a_retry_and_an_item_that_kills_is_given_up_alone(crew, tmp_path):
    items = [("a", 0), ("killed-once", 1), ("b", 0), ("kills", 99), ("c", 0), ("d", 0)]
    found = dict(spread(crew, partial(die, tmp_path), items, folder=tmp_path, waiting=quiet))
    assert found == {0: "a", 1: "killed-once", 2: "b", 3: None, 4: "c", 5: "d"}
    assert len(list(tmp_path.glob("killed-once.try*"))) >= 2
    # Twice alone; before that at most twice, since a neighbour's death counts for both.
    assert 2 < len(list(tmp_path.glob("kills.try*"))) <= 4
    wait_until(lambda: crew.count() == 2)


def test_processes_started_here_keep_to_their_threads_and_leave_nothing(tmp_path):
    before = dict(os.environ)
    with local_workers(2, threads=1) as crew:
        assert crew.client.scheduler.address.startswith("tls://127.0.0.1:")
        found = dict(spread(crew, limits, range(6), folder=tmp_path, waiting=quiet))
    assert {place: result[0] for place, result in found.items()} == {i: i for i in range(6)}
    assert {result[1:4] for result in found.values()} == {(1, 1, "1")}
    assert os.getpid() not in {result[4] for result in found.values()}
    assert not any(Path(f"/proc/{result[4]}").exists() for result in found.values())
    assert dict(os.environ) == before
    assert list(tmp_path.iterdir()) == []


def her2kit(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "her2kit.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)


@pytest.mark.parametrize("kind", ["closed", "mute", "words"])
def test_a_scheduler_that_does_not_answer_is_one_line(tmp_path, kind):
    (grey,) = greys(tmp_path, 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        if kind == "closed":
            server.close()
        address = "nowhere" if kind == "words" else f"tcp://127.0.0.1:{port}"
        done = her2kit("score", grey, "--mpp", 0.25, "--out", tmp_path / "out", "--scheduler", address)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"her2kit: --scheduler {address}: no Dask scheduler answers there (")
    assert len(done.stderr.splitlines()) == 1


def test_here_and_there_at_once_is_a_wrong_call(tmp_path):
    (grey,) = greys(tmp_path, 1)
    done = her2kit("score", grey, "--workers", 2, "--scheduler", "tcp://a:1", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "leave one out" in done.stderr
    assert not (tmp_path / "out").exists()


def test_without_dask_one_worker_works_and_more_say_what_to_install(tmp_path, monkeypatch):
    for name in ("dask", "distributed"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(crews, "find_spec", lambda name: None)
    monkeypatch.setattr(crews, "cores", lambda: 64)
    jobs = jobs_of(greys(tmp_path, 2), None, {"mpp": 0.25})
    assert score_slides(jobs, tmp_path) == []
    told = r"2 workers need dask, which is not installed; pip install -c constraints.txt '\.\[cluster\]'"
    with pytest.raises(ClusterError, match=told):
        score_slides(jobs, tmp_path, workers=2)
    with pytest.raises(ClusterError, match="--scheduler needs dask"):
        score_slides(jobs, tmp_path, scheduler="tcp://a:1")


@pytest.mark.skipif(sys.platform == "win32", reason="needs process groups")
def test_an_interruption_ends_all_and_keeps_what_is_whole(tmp_path):
    paths = greys(tmp_path, 400)
    call = [sys.executable, "-m", "her2kit.cli", "score", *paths, "--mpp", "0.25"]
    call += ["--out", tmp_path / "out", "--workers", "2"]
    process = subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_until(lambda: (tmp_path / "out/cohort.csv").is_file())
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    _, said = process.communicate(timeout=60)
    assert process.returncode not in (0, 2)
    assert "stopped; what is finished is kept, --resume goes on from there" in said
    assert "Traceback" not in said
    wait_until(lambda: not alive(process.pid))
    records = list((tmp_path / "out").glob("*/score.json"))
    assert 1 <= len(records) < 400
    assert all(json.loads(path.read_text())["status"] == "not_evaluable" for path in records)
    assert not list((tmp_path / "out").glob(".*"))


def alive(group: int) -> bool:
    """Return whether a process group has members."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(true, seconds=60) -> bool:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.05)
    return True
