"""One file per modality; a file that registers a modality needs no entry anywhere else."""
