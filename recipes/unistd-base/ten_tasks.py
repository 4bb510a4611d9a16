"""The ten tasks of unistd-base as records: four disciplines. An eleventh is one more record and one more reader.

Splits are by time. Where a series is long, 70 % train, 10 % validate, 20 % test; the radar series are so short that
their stretches are named one by one, and windows shrink to 6 -> 4 frames where three parts of 10 + 6 do not fit.
"""

from __future__ import annotations

from allspark.spatiotemporal.tasks import Task

MONTH, YEAR = 2_629_746.0, 31_556_952.0
NOT_STATED = "not stated with the data"
DIGITS = {"train": 1500, "validation": 100, "test": 200}  # Moving MNIST's sequences


def _runs(part: str, start: int) -> tuple[tuple[int, int, int], ...]:
    return tuple((start + i, 0, 20) for i in range(DIGITS[part]))


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            name="bikenyc",
            discipline="traffic",
            frames_in=4,
            frames_out=4,
            channels=("inflow", "outflow"),
            units="bikes/h",
            step=3600.0,
            size=(16, 8),
            stride=1,
            hidden=32,
            periods=("day", "week"),
            season=24,
            places=True,
            lower=0.0,
            peak=267.0,  # the data set's range, as its papers scale it
            gap=4,
            source="BikeNYC (Zhang et al., AAAI 2017), the last 1,369 hours, 16 x 8 cells",
            licence=NOT_STATED,
        ),
        Task(
            name="metr_la",
            discipline="traffic",
            frames_in=12,
            frames_out=12,
            channels=("speed",),
            units="mph",
            step=300.0,
            size=(207, 1),
            graph=True,
            stride=1,
            periods=("day",),
            season=288,
            places=True,
            lower=0.0,
            peak=70.0,
            gap=12,
            source="METR-LA, 1-7 March 2012, 207 sensors (Li et al., ICLR 2018; T-GCN's extract)",
            licence=NOT_STATED,
        ),
        Task(
            name="era5_uk",
            discipline="weather and climate",
            frames_in=12,
            frames_out=12,
            channels=("t2m",),
            units="K",
            step=3600.0,
            size=(33, 49),
            periods=("day",),
            season=24,
            places=True,
            peak=20.0,
            gap=12,
            source="ERA5 2 m temperature over the United Kingdom, March 2019, hourly, 0.25 degrees",
            licence="Copernicus licence; contains modified Copernicus Climate Change Service information 2019",
        ),
        *(
            Task(
                name=name,
                discipline="weather and climate",
                frames_in=10,
                frames_out=5,
                channels=("air_temperature",),
                units="K",
                step=YEAR,
                size=(37, 49),
                anchor="mean",
                places=True,
                peak=10.0,
                gap=1,
                source=f"HadGEM {scenario}, yearly air temperature, North America, 1860-2099 (Iris sample data)",
                licence="Open Government Licence (Iris sample data)",
            )
            for name, scenario in (("hadgem_a1b", "A1B"), ("hadgem_e1", "E1"))
        ),
        Task(
            name="ostia_sst",
            discipline="weather and climate",
            frames_in=6,
            frames_out=3,
            channels=("surface_temperature",),
            units="K",
            step=MONTH,
            size=(18, 432),
            periods=("year",),
            season=12,
            places=True,
            peak=15.0,
            split={"train": ((0, 0, 30),), "validation": ((0, 31, 41),), "test": ((0, 42, 54),)},
            source="OSTIA sea surface temperature, monthly 2006-2010, 5 S to 5 N (Iris sample data)",
            licence="Open Government Licence (Iris sample data)",
        ),
        Task(
            name="rain_mrms",
            discipline="nowcasting",
            frames_in=6,
            frames_out=4,
            channels=("rain_rate",),
            units="mm/h",
            step=120.0,
            size=(128, 128),
            stride=8,
            transform="log1p",
            augment="dihedral",
            lower=0.0,
            thresholds=(0.5, 2.0, 5.0),
            peak=50.0,
            split={
                "train": tuple((i, 0, 14) for i in range(4)),
                "validation": tuple((i, 15, 25) for i in range(4)),
                "test": tuple((i, 26, 36) for i in range(4)),
            },
            source="MRMS precipitation rate, 10 June 2019, four windows of 128 x 128 at 0.01 degrees, every 2 minutes",
            licence="public domain (NOAA)",
        ),
        Task(
            name="rain_fmi",
            discipline="nowcasting",
            frames_in=10,
            frames_out=6,
            channels=("rain_rate",),
            units="mm/h",
            step=300.0,
            size=(128, 128),
            stride=8,
            transform="log1p",
            augment="dihedral",
            lower=0.0,
            thresholds=(0.5, 2.0, 5.0),
            peak=50.0,
            # the second event is another day: its first half validates, its second half tests
            split={"train": ((0, 0, 40),), "validation": ((1, 0, 19),), "test": ((1, 20, 40),)},
            source="FMI radar reflectivity composites, 28 September 2016 and 9 May 2017, 128 x 128, every 5 minutes",
            licence="CC BY 4.0 (FMI open data)",
        ),
        Task(
            name="rain_mch",
            discipline="nowcasting",
            frames_in=6,
            frames_out=4,
            channels=("rain_rate",),
            units="mm/h",
            step=300.0,
            size=(128, 128),
            stride=8,
            transform="log1p",
            augment="dihedral",
            lower=0.0,
            thresholds=(0.5, 2.0, 5.0),
            peak=50.0,
            split={
                "train": tuple((i, 0, 18) for i in range(6)),
                "validation": tuple((i, 19, 29) for i in range(6)),
                "test": tuple((i, 30, 40) for i in range(6)),
            },
            source="MeteoSwiss radar sums (AQC), 31 January 2017, six windows of 128 x 128 km, every 5 minutes",
            licence=NOT_STATED,
        ),
        Task(
            name="moving_mnist",
            discipline="motion",
            frames_in=10,
            frames_out=10,
            channels=("grey",),
            units="1",
            step=1.0,
            size=(64, 64),
            stride=4,
            hidden=32,
            scale=255.0,
            augment="dihedral",
            lower=0.0,
            peak=255.0,
            split={
                "train": _runs("train", 0),
                "validation": _runs("validation", DIGITS["train"]),
                "test": _runs("test", DIGITS["train"] + DIGITS["validation"]),
            },
            source="Moving MNIST, made from MNIST's test digits (7,000 train, 1,000 validation, 2,000 test digits)",
            licence="CC BY-SA 3.0 (MNIST)",
        ),
    )
}
