"""Small files in the layouts in which data sets were published, written without fgspec's own code.

Each function writes files below a folder and returns what a reader must find in them: train images,
train labels, test images, test labels.
"""

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from PIL import Image
from scipy.io import savemat


def noise(examples, *shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (examples, *shape), dtype=np.uint8)


def idx(array):
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def four_idx_files(folder, packed=False, low=0, high=256, train=20, test=10):
    """Images of values from `low` to below `high`."""
    random, found = np.random.default_rng(1), []
    folder.mkdir(parents=True, exist_ok=True)
    for part, examples in (("train", train), ("t10k", test)):
        images = random.integers(low, high, (examples, 28, 28), dtype=np.uint8)
        labels = (np.arange(examples) % 10).astype(np.uint8)
        found += [images[..., np.newaxis], labels]
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            write_idx(folder / f"{part}-{kind}-ubyte", array, packed)
    return found


def write_idx(file, array, packed):
    """An IDX file, gzipped or not."""
    content = gzip.compress(idx(array)) if packed else idx(array)
    file.with_name(f"{file.name}.gz" if packed else file.name).write_bytes(content)


def planes(images):
    """Rows of a red, a green and a blue plane, each written row by row."""
    return [b"".join(image[..., colour].tobytes() for colour in range(3)) for image in images]


def cifar100(folder, version="python", labels="fine"):
    """The python or the binary version, unpacked."""
    found, made = [], folder / f"cifar-100-{version}"
    made.mkdir(parents=True)
    for seed, (name, examples) in enumerate((("train", 12), ("test", 4))):
        images = noise(examples, 32, 32, 3, seed=seed)
        fine = [(7 * number + seed) % 100 for number in range(examples)]
        coarse = [(3 * number + seed) % 20 for number in range(examples)]
        rows = planes(images)
        if version == "python":
            batch = {
                "data": np.frombuffer(b"".join(rows), np.uint8).reshape(examples, 3072),
                "fine_labels": fine,
                "coarse_labels": coarse,
                "filenames": [f"{number}.png" for number in range(examples)],
                "batch_label": name,
            }
            (made / name).write_bytes(pickle.dumps(batch, protocol=2))
        else:
            records = (bytes([c, f]) + r for c, f, r in zip(coarse, fine, rows, strict=True))
            (made / f"{name}.bin").write_bytes(b"".join(records))
        found += [images, fine if labels == "fine" else coarse]
    return found


def packed(folder, name, archive):
    """Pack a folder into a gzipped tar and remove it."""
    with tarfile.open(folder / archive, "w:gz") as made:
        made.add(folder / name, arcname=name)
    for file in (folder / name).iterdir():
        file.unlink()
    (folder / name).rmdir()


def svhn(folder, extra=False, compressed=True):
    """MATLAB files: X[row, column, colour, example], y from 1 to 10 where 10 is the digit 0."""
    folder.mkdir(parents=True, exist_ok=True)
    found, files = [], ("train_32x32", "extra_32x32", "test_32x32")
    for seed, (name, examples) in enumerate(zip(files, (11, 5, 6), strict=True)):
        if "extra" in name and not extra:
            continue
        images = noise(examples, 32, 32, 3, seed=seed)
        digits = np.arange(examples) % 10
        x = np.empty((32, 32, 3, examples), np.uint8)
        for number, image in enumerate(images):
            x[:, :, :, number] = image
        y = np.array([[10 if digit == 0 else digit] for digit in digits], np.uint8)
        savemat(folder / f"{name}.mat", {"X": x, "y": y}, do_compression=compressed)
        found += [images, digits]
    if extra:
        train, labels, more, more_labels, *rest = found
        return [np.concatenate([train, more]), np.concatenate([labels, more_labels]), *rest]
    return found


def stl10(folder, unlabelled=False):
    """Binary files: colour by colour, column by column; labels from 1 to 10."""
    made = folder / "stl10_binary"
    made.mkdir(parents=True)
    found = []
    for seed, (part, examples) in enumerate((("train", 5), ("unlabeled", 3), ("test", 4))):
        images = noise(examples, 96, 96, 3, seed=seed)
        content = b"".join(
            image[:, column, colour].tobytes()
            for image in images
            for colour in range(3)
            for column in range(96)
        )
        (made / f"{part}_X.bin").write_bytes(content)
        if part == "unlabeled":
            more = images
            continue
        labels = np.arange(examples) % 10
        (made / f"{part}_y.bin").write_bytes(bytes(int(label) + 1 for label in labels))
        found += [images, labels]
    (made / "class_names.txt").write_text("airplane\nbird\n")
    if unlabelled:
        found[0] = np.concatenate([found[0], more])
        found[1] = np.concatenate([found[1], [-1, -1, -1]])
    return found


def save_lossless(file, pixels):
    """A PNG file, whatever its name ends with: what is in a file decides how it is decoded."""
    Image.fromarray(pixels).save(file, "PNG")


def tiny_imagenet(folder, by_class=False):
    """Its three classes are listed in another order than they are sorted in."""
    names = ["n01443537", "n00000007", "n02058221"]
    (folder / "val" / "images").mkdir(parents=True)
    (folder / "wnids.txt").write_text("\n".join(names))
    train, train_labels, test, test_labels, lines = [], [], [], [], []
    for label, name in enumerate(sorted(names)):
        (folder / "train" / name / "images").mkdir(parents=True)
        (folder / "train" / name / f"{name}_boxes.txt").write_text("0.JPEG\t0\t0\t1\t1\n")
        for number, pixels in enumerate(noise(4, 64, 64, 3, seed=label)):
            if number < 3:
                file = folder / "train" / name / "images" / f"{name}_{number}.JPEG"
                train, train_labels = [*train, pixels], [*train_labels, label]
            else:
                file = folder / "val" / "images" / f"val_{9 - label}.JPEG"
                if by_class:
                    file = folder / "val" / name / "images" / f"val_{9 - label}.JPEG"
                    file.parent.mkdir(parents=True)
                test, test_labels = [*test, pixels], [*test_labels, label]
                lines.append(f"{file.name}\t{name}\t0\t32\t44\t62")
            save_lossless(file, pixels)
    if not by_class:
        (folder / "val" / "val_annotations.txt").write_text("\n".join(lines) + "\n")
    return [np.array(train), train_labels, np.array(test), test_labels]


def imagenet32(folder, form="pickle", container="folder"):
    """Batches of four images, labels from 1; pickled or npz, in a folder, two folders or zips."""
    images, labels, parts = [], [], {}
    for number in range(11):
        pixels, own = noise(4, 32, 32, 3, seed=number), [(number + k) % 3 + 1 for k in range(4)]
        images.append(pixels)
        labels.append(np.array(own) - 1)
        data = np.frombuffer(b"".join(planes(pixels)), np.uint8).reshape(4, 3072)
        batch = {"data": data, "labels": own, "mean": data.mean(0)}
        name = f"train_data_batch_{number + 1}" if number < 10 else "val_data"
        if form == "pickle":
            parts[name] = pickle.dumps(batch, protocol=2)
        else:
            stream = io.BytesIO()
            np.savez(stream, data=data, labels=np.array(own), mean=batch["mean"])
            parts[f"{name}.npz"] = stream.getvalue()
    end = "" if form == "pickle" else "_npz"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in parts.items():
        outer = f"Imagenet32_{'val' if 'val' in name else 'train'}{end}"
        if container == "folder":
            (folder / name).write_bytes(content)
        elif container == "folders":
            (folder / outer).mkdir(exist_ok=True)
            (folder / outer / name).write_bytes(content)
        else:
            with zipfile.ZipFile(folder / f"{outer}.zip", "a") as archive:
                archive.writestr(name, content)
    train, train_labels = np.concatenate(images[:10]), np.concatenate(labels[:10])
    return [train, train_labels, images[10], labels[10]]


def medmnist(folder, name="bloodmnist", size=28, colours=3, classes=8, val=False):
    folder.mkdir(parents=True, exist_ok=True)
    arrays, found = {}, {}
    for seed, (part, examples) in enumerate((("train", 16), ("val", 8), ("test", 8))):
        shape = (size, size, colours) if colours > 1 else (size, size)
        images, labels = noise(examples, *shape, seed=seed), np.arange(examples) % classes
        arrays |= {f"{part}_images": images, f"{part}_labels": labels[:, None].astype(np.uint8)}
        found[part] = images.reshape(examples, size, size, colours), labels
    suffix = "" if size == 28 else f"_{size}"
    np.savez_compressed(folder / f"{name}{suffix}.npz", **arrays)
    if val:
        found["train"] = [
            np.concatenate(one) for one in zip(found["train"], found["val"], strict=True)
        ]
    return [*found["train"], *found["test"]]


def encoded(pixels, kind="PNG"):
    stream = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(stream, kind)
    return stream.getvalue()


def hugging_face(folder, images=None, labels=None, splits=("train", "test")):
    """As `datasets.DatasetDict.save_to_disk` of version 5.2 writes it, two files a split.

    The images are in the columns `image` and `img`, the labels in `label` and `fine_label`.
    """
    import pyarrow as pa

    found, names = [], ["cat", "dog", "owl"]
    folder.mkdir(parents=True, exist_ok=True)
    for seed, split in enumerate(splits):
        examples = 11 - 6 * (seed % 2)
        pixels = noise(examples, 9, 8, 3, seed=seed) if images is None else images[split]
        own = np.arange(examples) % 3 if labels is None else labels[split]
        (folder / split).mkdir()
        halves = np.array_split(np.arange(len(own)), 2)
        image, label = pa.struct({"bytes": pa.binary(), "path": pa.string()}), pa.int64()
        kinds = {"image": image, "label": label, "img": image, "fine_label": label}
        files = [f"data-{number:05d}-of-00002.arrow" for number in range(2)]
        for file, rows in zip(files, halves, strict=True):
            written = [{"bytes": encoded(pixels[row]), "path": f"{row}.png"} for row in rows]
            whole = [None if own[row] is None else int(own[row]) for row in rows]
            held = {name: written if kind == image else whole for name, kind in kinds.items()}
            table = pa.table(held, pa.schema(kinds))
            with (
                pa.OSFile(str(folder / split / file), "wb") as sink,
                pa.ipc.new_stream(sink, table.schema) as stream,
            ):
                stream.write_table(table, max_chunksize=2)
        a_class = {"names": names, "_type": "ClassLabel"}
        features = {
            name: {"_type": "Image"} if kind == image else a_class for name, kind in kinds.items()
        }
        state = {
            "_data_files": [{"filename": file} for file in files],
            "_fingerprint": "0123456789abcdef",
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": split,
        }
        info = {"citation": "", "description": "", "features": features, "homepage": ""}
        (folder / split / "dataset_info.json").write_text(json.dumps(info, indent=2))
        (folder / split / "state.json").write_text(json.dumps(state, indent=2))
        found += [pixels, own]
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return found


def _example_class():
    """The class of `tf.train.Example`, made of its definition (tensorflow/core/example)."""
    kind = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="e.proto", package="e", syntax="proto3")

    def message(name, **fields):
        made = file.message_type.add(name=name)
        for number, (field, (label, held, type_name)) in enumerate(fields.items(), start=1):
            made.field.add(name=field, number=number, label=label, type=held, type_name=type_name)
        return made

    many, one = kind.LABEL_REPEATED, kind.LABEL_OPTIONAL
    message("BytesList", value=(many, kind.TYPE_BYTES, None))
    message("FloatList", value=(many, kind.TYPE_FLOAT, None))
    message("Int64List", value=(many, kind.TYPE_INT64, None))
    lists = {
        "bytes_list": (one, kind.TYPE_MESSAGE, ".e.BytesList"),
        "float_list": (one, kind.TYPE_MESSAGE, ".e.FloatList"),
        "int64_list": (one, kind.TYPE_MESSAGE, ".e.Int64List"),
    }
    message("Feature", **lists)
    features = message("Features", feature=(many, kind.TYPE_MESSAGE, ".e.Features.FeatureEntry"))
    entry = features.nested_type.add(name="FeatureEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, label=one, type=kind.TYPE_STRING)
    entry.field.add(
        name="value", number=2, label=one, type=kind.TYPE_MESSAGE, type_name=".e.Feature"
    )
    message("Example", features=(one, kind.TYPE_MESSAGE, ".e.Features"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("e.Example"))


EXAMPLE = _example_class()


def example(image, label):
    """Under two names each."""
    made = EXAMPLE()
    for name in ("image", "img"):
        made.features.feature[name].bytes_list.value.append(image)
    for name in ("label", "coarse_label"):
        made.features.feature[name].int64_list.value.append(int(label))
    made.features.feature["weight"].float_list.value.extend([0.5, 1.5])
    return made.SerializeToString()


SHARDS = {"train": (4, 3, 4), "test": (5,)}
"""The numbers of records of the files of each split."""


def tfds(folder, colours=3, labels=None, records=None, shards=SHARDS):
    """A version as `tfds build --file_format=array_record` prepares it, three files to train."""
    from array_record.python.array_record_module import ArrayRecordWriter

    version, found, splits = folder / "birds" / "2.0.1", [], []
    version.mkdir(parents=True)
    for seed, (split, lengths) in enumerate(shards.items()):
        examples = sum(lengths)
        pixels = noise(examples, 9, 8, colours, seed=seed)
        own = np.arange(examples) % 3 if labels is None else labels[split]
        written = [example(encoded(p), label) for p, label in zip(pixels, own, strict=True)]
        if records is not None:
            written = records(split, written)
        start = 0
        for number, length in enumerate(lengths):
            name = f"birds-{split}.array_record-{number:05d}-of-{len(lengths):05d}"
            writer = ArrayRecordWriter(str(version / name), "group_size:1")
            for record in written[start : start + length]:
                writer.write(record)
            writer.close()
            start += length
        splits.append(
            {
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "name": split,
                "numBytes": "1",
                "shardLengths": [str(length) for length in lengths],
            }
        )
        found += [pixels, own]
    info = {"fileFormat": "array_record", "name": "birds", "splits": splits, "version": "2.0.1"}
    (version / "dataset_info.json").write_text(json.dumps(info))
    module = "tensorflow_datasets.core.features."
    image = {
        "pythonClassName": f"{module}image_feature.Image",
        "image": {
            "shape": {"dimensions": ["9", "8", str(colours)]},
            "dtype": "uint8",
            "encodingFormat": "png",
        },
    }
    label = {
        "pythonClassName": f"{module}class_label_feature.ClassLabel",
        "classLabel": {"numClasses": "3"},
    }
    features = {
        "image": image,
        "img": image,
        "label": label,
        "coarse_label": label,
        "weight": {
            "pythonClassName": f"{module}tensor_feature.Tensor",
            "tensor": {"shape": {"dimensions": ["2"]}, "dtype": "float32", "encoding": "none"},
        },
    }
    top = {"pythonClassName": f"{module}features_dict.FeaturesDict"}
    (version / "features.json").write_text(
        json.dumps({**top, "featuresDict": {"features": features}})
    )
    (version / "label.labels.txt").write_text("crow\nlark\nwren\n")
    return found
