"""Sharpness-aware steps: the perturbed point against the papers' equations, in float64 and by hand."""

import math

import numpy as np
import pytest

from her2kit.learning.sharpness_aware import frozen_statistics, perturbed

torch = pytest.importorskip("torch", reason="the train extra is not installed")


def small_net(dtype=torch.float64):
    torch.manual_seed(3)
    return torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3)).to(dtype)


def back(net, factor=1.0):
    torch.manual_seed(4)
    x, y = torch.randn(8, 5, dtype=net[0].weight.dtype), torch.randint(0, 3, (8,))
    net.zero_grad()
    (factor * torch.nn.functional.cross_entropy(net(x), y)).backward()


def flat(values):
    return np.concatenate([np.asarray(v.detach(), np.float64).ravel() for v in values])


@pytest.mark.parametrize("rho", [0.05, 0.1, 0.2, 1.5])
@pytest.mark.parametrize("adaptive", [False, True])
def test_the_perturbed_point_is_the_papers(rho, adaptive):
    net = small_net()
    back(net)
    w, g = flat(net.parameters()), flat(p.grad for p in net.parameters())
    if adaptive:
        t = np.abs(w) + 0.01
        expected = w + rho * t**2 * g / math.sqrt(((t * g) ** 2).sum())
    else:
        expected = w + rho * g / math.sqrt((g**2).sum())
    with perturbed(net.parameters(), rho=rho, adaptive=adaptive):
        np.testing.assert_allclose(flat(net.parameters()), expected, rtol=0, atol=1e-6)
        if not adaptive:
            assert np.linalg.norm(flat(net.parameters()) - w) == pytest.approx(rho, abs=1e-9)
    np.testing.assert_array_equal(flat(net.parameters()), w)


def test_on_a_parabola_the_worst_point_is_known():
    """For the loss |w|^2 / 2 the worst point within rho is w (1 + rho / |w|), its own gradient."""
    w = torch.nn.Parameter(torch.tensor([3.0, 4.0], dtype=torch.float64))
    (w**2).sum().div(2).backward()
    with perturbed([w], rho=0.5):
        w.grad = None
        (w**2).sum().div(2).backward()
    np.testing.assert_allclose(w.grad, [3.3, 4.4], atol=1e-12)
    np.testing.assert_array_equal(w.detach(), [3.0, 4.0])


def test_it_climbs():
    net = small_net()
    torch.manual_seed(4)
    x, y = torch.randn(8, 5, dtype=torch.float64), torch.randint(0, 3, (8,))
    loss = torch.nn.functional.cross_entropy(net(x), y)
    loss.backward()
    for adaptive in (False, True):
        with perturbed(net.parameters(), rho=0.05, adaptive=adaptive):
            assert torch.nn.functional.cross_entropy(net(x), y) > loss


def test_a_scaled_loss_moves_to_the_same_point():
    net, points = small_net(torch.float32), []
    for factor in (1.0, 65536.0):
        back(net, factor)
        with perturbed(net.parameters(), rho=0.1, adaptive=True):
            points.append(flat(net.parameters()))
    np.testing.assert_allclose(points[0], points[1], atol=1e-6)


@pytest.mark.parametrize("value", [0.0, math.inf, math.nan])
def test_a_gradient_that_points_nowhere_moves_nothing(value):
    net = small_net()
    before = flat(net.parameters())
    for p in net.parameters():
        p.grad = torch.full_like(p, value)
    with perturbed(net.parameters(), rho=0.1):
        np.testing.assert_array_equal(flat(net.parameters()), before)


def test_the_weights_come_back_after_an_error_too():
    net = small_net()
    back(net)
    before = flat(net.parameters())
    with pytest.raises(KeyError), perturbed(net.parameters(), rho=0.1):
        raise KeyError
    np.testing.assert_array_equal(flat(net.parameters()), before)


def test_statistics_stay_and_batches_are_still_normalised_by_themselves():
    net = torch.nn.Sequential(torch.nn.BatchNorm2d(3))
    x = torch.randn(4, 3, 5, 5) * 7 + 2
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with frozen_statistics(net):
        seen = net(x)
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])
    assert abs(float(seen.detach().mean())) < 1e-5
    net(x)
    assert not torch.equal(net[0].running_mean, before["0.running_mean"])


@pytest.mark.parametrize("rho", [0, -0.1, math.nan, math.inf])
def test_a_radius_is_positive(rho):
    with pytest.raises(ValueError, match="use a positive radius"), perturbed([], rho=rho):
        pass
