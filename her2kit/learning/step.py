"""One training step: a task on its device, one batch, one move of the weights, sharpness-aware or plain."""

from dataclasses import dataclass
from typing import Any

from her2kit.learning.sharpness_aware import frozen_statistics, perturbed
from her2kit.learning.task import Task
from her2kit.learning.train_settings import TrainSettings, make_optimizer


@dataclass(frozen=True, slots=True)
class Stepper:
    """A task that is set up to be trained; `set_up` makes one."""

    fabric: Any
    task: Task
    net: Any
    """The task's network as the device wants it called: wrapped for precision and several processes."""
    optimizer: Any
    settings: TrainSettings

    def placed(self, batch: Any) -> list[Any]:
        """Return a batch on the device, pictures in the layout that was asked for."""
        import torch

        batch = self.fabric.to_device(batch)
        if not self.settings.channels_last:
            return batch
        return [x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x for x in batch]

    def step(self, batch: Any, *, lr: float, seed: int) -> Any:
        """Move the weights once and return the batch's loss before that; both passes draw the same."""
        settings = self.settings
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        loss = self._gradient(batch, seed)
        if settings.sam_rho:
            climb = perturbed(
                self.task.net.parameters(), rho=settings.sam_rho, adaptive=settings.sam_adaptive
            )
            with climb, frozen_statistics(self.task.net):
                self._gradient(batch, seed)
        self.optimizer.step()
        return loss.detach()

    def _gradient(self, batch: Any, seed: int) -> Any:
        import torch

        torch.manual_seed(seed)
        self.optimizer.zero_grad()
        loss = self.task.loss(self.net, batch)
        self.fabric.backward(loss)
        return loss


def set_up(fabric: Any, task: Task, settings: TrainSettings) -> Stepper:
    """Return a task ready for its first step on a launched Fabric; its network moves to the device."""
    import torch

    if settings.channels_last:
        task.net.to(memory_format=torch.channels_last)
    net, optimizer = fabric.setup(task.net, make_optimizer(task.net, settings))
    return Stepper(fabric, task, net, optimizer, settings)
