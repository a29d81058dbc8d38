# Frame features of speech before and after fine-tuning on attributes: the acoustic front-end of VAVL
# (Goncalves et al., section 4.2), which fine-tunes wav2vec2-large-robust on MSP-Podcast.
#
#   make -f examples/attributes.mk WEIGHTS=wav2vec2-large-robust PODCAST=MSP-PODCAST MEDIA=improv.h5 OUT=attributes
#
# WEIGHTS is what `avaffect import` takes: a folder or file of any encoder of sound. PODCAST is the folder of
# MSP-Podcast. MEDIA is the store whose features are wanted. The results:
#
#   before.h5       features of MEDIA by the encoder as it was published
#   after.h5        features by the encoder as it was fine-tuned on arousal, dominance and valence
#   attributes.json CCC of the fine-tuned model on the test partition TEST of MSP-Podcast
#
# The head is the paper's: the mean over time, two layers of 1,024 with layer norm, ReLU and dropout 0.5, three
# outputs. The loss is the mean of 1 - CCC, over batches of 32; the paper does not name one here. Every step
# writes a file; a second run makes only the files that are missing.

WEIGHTS ?= wav2vec2-large-robust
PODCAST ?= MSP-PODCAST
MEDIA ?= media.h5
OUT ?= attributes
TEST ?= Test1
HIDDEN ?= 1024
TRAIN ?= --epochs 10
# Peak learning rate, of the encoder and of the head.
RATE ?= 1e-4
# Seconds and utterances of a step at most: 32 utterances of MSP-Podcast are at most 352 s.
BATCHES ?= --batch-seconds 360 --batch-utterances 32
PRECISION ?= bf16

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
O := $(OUT)/

.PHONY: all
all: $(O)before.h5 $(O)after.h5 $(O)attributes.json

$(O)podcast.jsonl:
	@mkdir -p $(OUT)
	avaffect manifest msp-podcast $(PODCAST) -o $@

# Of several test partitions one: each is another set of podcasts.
$(O)chosen.jsonl: $(O)podcast.jsonl
	avaffect select $< --where partition=Train,Development,Validation,$(TEST) -o $@

$(O)podcast.h5: $(O)chosen.jsonl
	avaffect preprocess $< -o $@

$(O)published.safetensors:
	@mkdir -p $(OUT)
	avaffect import $(WEIGHTS) -o $@

$(O)attributes.safetensors: $(O)podcast.h5 $(O)published.safetensors
	avaffect finetune $< --encoder $(O)published.safetensors --mode fine-tuned \
		--label arousal --label dominance --label valence --loss ccc=1 \
		--head mlp --hidden $(HIDDEN) --hidden-layers 2 --head-option layer_norm=true --dropout 0.5 \
		--learning-rate $(RATE) --head-learning-rate $(RATE) $(TRAIN) $(BATCHES) --precision $(PRECISION) -o $@

# The encoder under the head, as an encoder of its own.
$(O)tuned.safetensors: $(O)attributes.safetensors
	avaffect merge-lora $< -o $@

$(O)before.h5: $(O)published.safetensors $(MEDIA)
	avaffect extract $(MEDIA) --model $< -o $@

$(O)after.h5: $(O)tuned.safetensors $(MEDIA)
	avaffect extract $(MEDIA) --model $< -o $@

$(O)predictions.jsonl: $(O)attributes.safetensors $(O)podcast.h5
	avaffect predict $(O)podcast.h5 --model $< --split test -o $@

$(O)attributes.json: $(O)predictions.jsonl
	avaffect eval-ccc $< --json > $@
