# Highlight detection by SAAML (section 5.3.2, table 4): segments of five seconds of longer videos, ranked by a
# Transformer on features of an encoder, as it was adapted, as it was pre-trained, and at random initialisation.
#
#   make -f examples/highlight.mk OUT=highlight
#
# Without FILMS everything is synthetic: people who speak with weak emotions for a film, and with a strong one in one or
# some segments. With your own videos and encoders:
#
#   avaffect manifest video2gif video2gif/ | avaffect select - --faces-in 0.9 -o people.jsonl
#   make -f examples/highlight.mk FILMS=people.jsonl PRETRAINED=fav.safetensors ADAPTED=aw.safetensors \
#       PICTURES="--faces none --size 264 --width 440" PATCH="--patch 88" OUT=video2gif
#
# scores.txt has the mean average precision (mAP) of the test part beside that of random orders (chance), and its p-value
# against `pretrained`, over RUNS seeds of the head; highlight-*.json the scores of each film. Every step writes a file; a
# second run makes only the files that are missing.

OUT ?= highlight
RUNS ?= 5
SEED ?= 0
# Of the synthetic people: audio or av.
MODALITY ?= audio
PRESET ?= nano
UTTERANCES ?= 160
POOL ?= 240
FILM ?= --utterances 96 --speakers 48 --segments 8
STEPS ?= 600
PICTURES ?= --faces none --size 48
# Of pictures, where there are any: --patch 88.
PATCH ?=
# The head; the paper's: --optimiser sgd --head-learning-rate 1e-3 --weight-decay 5e-4 --epochs 20
HEAD ?= --head-option width=64 --head-option ffn_dim=128 --layers 2
TRAIN ?= --batch-seconds 600 --epochs 60 --head-learning-rate 1e-3
FILMS ?=
PRETRAINED ?= $(O)pretrained.safetensors
ADAPTED ?= $(O)adapted.safetensors

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
O := $(OUT)/
ENCODERS := random pretrained adapted

.PHONY: all
all: $(O)scores.txt

# The encoders: SAAML's chain on synthetic people.

$(O)a.jsonl:
	@mkdir -p $(OUT)
	avaffect synth $(O)people-a --domain A --utterances $(UTTERANCES) --speakers 16 --modality $(MODALITY) \
		--seed $(SEED) | avaffect split - --by speaker --ratios 80 10 10 -o $@

$(O)b.jsonl:
	@mkdir -p $(OUT)
	avaffect synth $(O)people-b --domain B --utterances $(POOL) --speakers 24 --modality $(MODALITY) \
		--seed $(SEED) -o $@

$(O)%.h5: $(O)%.jsonl
	avaffect preprocess $< $(PICTURES) -o $@

$(O)kmeans.safetensors: $(O)a.h5 $(O)b.h5
	avaffect cluster $^ -k 50 -o $@

$(O)units-%.h5: $(O)%.h5 $(O)kmeans.safetensors
	avaffect extract $< --model $(O)kmeans.safetensors -o $@

PRETRAIN = avaffect pretrain-hubert $(O)a.h5 $(O)b.h5 --units $(O)units-a.h5 --units $(O)units-b.h5 \
	--modality $(MODALITY) --preset $(PRESET) --seed $(SEED)

$(O)pretrained.safetensors: $(O)units-a.h5 $(O)units-b.h5
	$(PRETRAIN) --steps $(STEPS) -o $@

$(O)random.safetensors: $(O)units-a.h5 $(O)units-b.h5
	$(PRETRAIN) --steps 0 -o $@

$(O)projector.safetensors: $(O)pretrained.safetensors
	avaffect train-projector $(O)a.h5 --encoder $< -o $@

$(O)embedded-%.h5: $(O)%.h5 $(O)projector.safetensors
	avaffect extract $< --model $(O)projector.safetensors -o $@

$(O)adapted.safetensors: $(O)embedded-a.h5 $(O)embedded-b.h5
	avaffect retrieve --query $(O)embedded-a.h5 --pool $(O)embedded-b.h5 -T 0.1 | \
		avaffect adapt --epochs 10 -o $@

# The films, of people that no encoder has seen; a film tests the head or trains it.

ifeq ($(FILMS),)
$(O)films.jsonl:
	@mkdir -p $(OUT)
	avaffect synth $(O)people-films --domain U $(FILM) --modality $(MODALITY) --seed $(SEED) | \
		avaffect split - --by speaker --ratios 50 25 25 -o $@
else
$(O)films.jsonl: $(FILMS)
	@mkdir -p $(OUT)
	avaffect select $< -o $@
endif

encoder_random = $(O)random.safetensors
encoder_pretrained = $(PRETRAINED)
encoder_adapted = $(ADAPTED)

define of_encoder
$(O)segments-$(1).h5: $(O)films.h5 $$(encoder_$(1))
	avaffect extract $(O)films.h5 --model $$(encoder_$(1)) --segment 5 $(PATCH) -o $$@
endef
$(foreach encoder,$(ENCODERS),$(eval $(call of_encoder,$(encoder))))

$(O)head-%.safetensors: $(O)segments-%.h5
	avaffect finetune $< --head highlight --label highlight $(HEAD) $(TRAIN) --runs $(RUNS) --seed $(SEED) -o $@

$(O)predicted-%.h5: $(O)head-%.safetensors
	avaffect predict $(O)segments-$*.h5 --model $< --split test -o $@

$(O)highlight-%.json: $(O)predicted-%.h5
	avaffect eval-rank $< --gold $(O)films.h5 -o $@

$(O)scores.txt: $(ENCODERS:%=$(O)highlight-%.json)
	{ avaffect eval-rank $(ENCODERS:%=$(O)predicted-%.h5) --gold $(O)films.h5 && \
		avaffect compare pretrained=$(O)highlight-pretrained.json adapted=$(O)highlight-adapted.json \
		random=$(O)highlight-random.json; } > $@
	@cat $@
