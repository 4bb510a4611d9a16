"""The parts of fine-tuning, each with one reason to change; ``allspark/finetune.py`` is the loop that uses them."""
