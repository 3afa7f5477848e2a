"""Noise and Loss: what noise is added to pictures, at which timesteps, and what an error counts there."""

from comfy_api.latest import io

from ..trainer_core.training.plan import NoisePlan, TimestepPlan, WeightingPlan
from .noise_and_loss_inputs import noise_and_loss_inputs
from .types import NoiseAndLossPlans, NoiseAndLossSocket


class NoiseAndLoss(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoraAtelierNoiseAndLoss",
            display_name="Noise and Loss",
            category="LoRA Atelier",
            description="Noise offset, multires noise, min-SNR and timesteps. Without this node Train LoRA uses plain "
            "noise, and every timestep counts the same.",
            search_aliases=[
                "noise offset",
                "multires noise",
                "min snr",
                "timestep",
                "噪声偏移",
                "最小信噪比",
                "雜訊偏移",
            ],
            inputs=noise_and_loss_inputs(),
            outputs=[NoiseAndLossSocket.Output("noise_and_loss", tooltip="For Train LoRA's socket of the same name.")],
        )

    @classmethod
    def execute(
        cls, noise_offset: float, noise_offset_random: bool, multires_iterations: int, multires_discount: float,
        min_snr_gamma: float, debiased: bool, perturbation: float, perturbation_random: bool, scale_v_prediction: bool,
        v_prediction_like: float, timestep_sampling: str, first_timestep: int, last_timestep: int, logit_mean: float,
        logit_std: float, timestep_bias: float, prediction: str, zero_terminal_snr: str,
    ) -> io.NodeOutput:  # fmt: skip
        noise = NoisePlan(
            offset=noise_offset,
            offset_random=noise_offset_random,
            multires_iterations=multires_iterations,
            multires_discount=multires_discount,
            perturbation=perturbation,
            perturbation_random=perturbation_random,
        )
        weighting = WeightingPlan(
            min_snr_gamma=min_snr_gamma,
            debiased=debiased,
            scale_v_prediction=scale_v_prediction,
            v_prediction_like=v_prediction_like,
        )
        timesteps = TimestepPlan(
            first=first_timestep,
            last=last_timestep,
            sampling=timestep_sampling,
            logit_mean=logit_mean,
            logit_std=logit_std,
            bias=timestep_bias,
            prediction=prediction,
            zero_terminal_snr=zero_terminal_snr,
        )
        return io.NodeOutput(NoiseAndLossPlans(noise=noise, weighting=weighting, timesteps=timesteps))
