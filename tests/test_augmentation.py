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
    assert (shifted.amin(), shifted.amax()) == (1, 20)  # the outermost bands are repeated, nothing comes in
    quick = AudioAugmentation(max_tempo=0.2)
    sound, lengths, words = quick((ramp, torch.tensor([81, 40, 9, 1]), torch.ones(4)), torch.Generator().manual_seed(2))
    assert sound.shape[1] == lengths.max() != 81
    assert abs(lengths[1] / lengths[0] - 40 / 81) < 0.02
    assert lengths[3] >= 1
    assert words.tolist() == [1] * 4


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
    change = AudioAugmentation(n_stretches=1, max_tempo=0.2, max_shift=1, n_bands=1)
    sound = torch.randn(4, 30, 16) * torch.tensor([1.0, 0.0, 1.0, 1.0])[:, None, None]
    inputs = (sound, torch.tensor([30, 0, 20, 10]))
    changed, lengths = change(inputs, torch.Generator().manual_seed(8))
    assert lengths.tolist()[1] == 0 < lengths[[0, 2, 3]].min()
    assert changed.isfinite().all()
    nothing = (torch.zeros(2, 0), torch.zeros(2, dtype=torch.int64))
    assert change(nothing, torch.Generator()) == nothing
