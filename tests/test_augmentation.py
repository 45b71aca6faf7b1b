import numpy as np
import pytest
import torch

from emolab.augmentation import AudioAugmentation, FaceAugmentation


def test_sound_changes_hide_no_more_than_they_may_and_repeat_for_a_seed() -> None:
    sound, lengths = torch.ones(50, 80, 20), torch.full((50,), 80)
    change = AudioAugmentation(n_stretches=1, max_stretch=10, n_bands=1, max_bands=3)
    changed, same_lengths = change((sound, lengths), torch.Generator().manual_seed(1))
    hidden_frames = (changed == 0).all(dim=2).sum(dim=1)
    hidden_bands = (changed == 0).all(dim=1).sum(dim=1)
    assert (hidden_frames.max(), hidden_bands.max()) == (10, 3)
    assert torch.equal(lengths, same_lengths)
    assert sound.all()  # the original stays as it was
    again, _ = change((sound, lengths), torch.Generator().manual_seed(1))
    assert torch.equal(changed, again)


def test_sound_changes_shift_bands_and_tempo() -> None:
    ramp = torch.arange(20.0).expand(4, 81, 20) + 1
    shifted, _ = AudioAugmentation(max_shift=2)((ramp, torch.full((4,), 81)), torch.Generator().manual_seed(2))
    moved = shifted[:, 0, 10] - ramp[:, 0, 10]
    assert moved.abs().max() <= 2
    assert moved.any()
    quick = AudioAugmentation(max_tempo=0.2)
    sound, lengths, words = quick((ramp, torch.tensor([81, 40, 9, 1]), torch.ones(4)), torch.Generator().manual_seed(2))
    assert sound.shape[1] == lengths.max() != 81
    assert abs(lengths[1] / lengths[0] - 40 / 81) < 0.02
    assert lengths[3] >= 1
    assert words.tolist() == [1] * 4


def test_sound_changes_move_sound_in_time_and_keep_its_edges() -> None:
    steps = torch.arange(30.0)[None, :, None].expand(40, 30, 2)
    moved, lengths = AudioAugmentation(max_delay=5)((steps, torch.full((40,), 20)), torch.Generator().manual_seed(3))
    shifts = (moved[:, 10, 0] - steps[:, 10, 0]).unique()
    assert shifts.abs().max() == 5
    assert len(shifts) > 5
    assert moved[:, :20].max() == 19  # of the real frames, never of the padding
    assert lengths.tolist() == [20] * 40


BANDS = (np.linspace(-60, -30, 16), np.full(16, 8.0))  # dB: mean and deviation of each band


def levels(sound: torch.Tensor) -> torch.Tensor:
    """Go back from standardised log-mel to decibels."""
    return sound.double() * torch.tensor(BANDS[1]) + torch.tensor(BANDS[0])


def test_gain_moves_all_bands_of_an_utterance_by_the_same_decibels() -> None:
    sound = torch.randn(30, 12, 16, generator=torch.Generator().manual_seed(4))
    change = AudioAugmentation(max_gain_db=6).on_scale(*BANDS)
    louder, _ = change((sound, torch.full((30,), 12)), torch.Generator().manual_seed(5))
    gain = levels(louder) - levels(sound)
    assert torch.allclose(gain, gain[:, :1, :1].expand_as(gain), atol=1e-4)
    assert 4 < gain.abs().max() <= 6


@pytest.mark.parametrize("field", ["noise_db", "other_db"])
def test_what_is_mixed_in_has_the_level_that_is_asked_for(field: str) -> None:
    sound = torch.randn(200, 50, 16, generator=torch.Generator().manual_seed(6))
    change = AudioAugmentation(**{field: -5.0}).on_scale(*BANDS)
    mixed, _ = change((sound, torch.full((200,), 50)), torch.Generator().manual_seed(7))
    before, after = (10 ** (levels(x) / 10) for x in (sound, mixed))
    added = 10 * ((after - before).mean(dim=(1, 2)) / before.mean(dim=(1, 2))).log10()
    assert -26 < added.min() < -20 < -8 < added.max() < -4


def test_levels_without_a_scale_are_refused() -> None:
    with pytest.raises(ValueError, match=r"levels of 0 bands for audio of 16.*on_scale"):
        AudioAugmentation(noise_db=-10.0)((torch.zeros(2, 3, 16), torch.tensor([3, 2])), torch.Generator())


def clips(n: int, n_frames: int, size: int) -> torch.Tensor:
    return torch.randint(0, 256, (n, n_frames, size, size, 3), dtype=torch.uint8)


def test_face_changes_are_the_same_for_all_frames_and_stay_pictures() -> None:
    still = clips(8, 1, 12).expand(-1, 4, -1, -1, -1)
    lengths = torch.tensor([4, 3] * 4)
    change = FaceAugmentation(max_light=0.3, max_shift=2)
    changed, left = change((still, lengths), torch.Generator().manual_seed(1))
    assert changed.dtype == torch.uint8
    assert left is lengths
    assert (changed == changed[:, :1]).all()
    assert (changed != still).any(dim=(1, 2, 3, 4)).all()
    again, _ = change((still, lengths), torch.Generator().manual_seed(1))
    assert (changed == again).all()
    nothing, _ = FaceAugmentation(mirror=False, max_light=0, max_shift=0)((still, lengths), torch.Generator())
    assert (nothing == still).all()
    mirrored, _ = FaceAugmentation(max_light=0, max_shift=0)((still, lengths), torch.Generator().manual_seed(1))
    turned = (mirrored == still.flip(3)).all(dim=(1, 2, 3, 4))
    assert 0 < turned.sum() < 8
    assert (turned | (mirrored == still).all(dim=(1, 2, 3, 4))).all()


def test_what_is_missing_stays_missing() -> None:
    change = AudioAugmentation(n_stretches=1, max_tempo=0.2, max_delay=3, max_shift=1, noise_db=-5, other_db=-5)
    sound = torch.randn(4, 30, 16) * torch.tensor([1.0, 0.0, 1.0, 1.0])[:, None, None]
    inputs = (sound, torch.tensor([30, 0, 20, 10]))
    changed, lengths = change.on_scale(*BANDS)(inputs, torch.Generator().manual_seed(8))
    assert lengths.tolist()[1] == 0 < lengths[[0, 2, 3]].min()
    assert changed.isfinite().all()
    nothing = (torch.zeros(2, 0), torch.zeros(2, dtype=torch.int64))
    assert change(nothing, torch.Generator()) == nothing
