# SAAML's chain on real speech: A is EmoDB (labelled), B any recordings that a table lists.
#
#   make -f examples/emodb.mk EMODB=path/to/emodb POOL=path/to/pool.csv OUT=out
#
# POOL is a CSV with the columns path (relative to the table) and speaker. An optional column emotion
# becomes the label hidden_emotion, which is used to score the retrieval alone.
#
# MODALITY=av trains an audiovisual encoder: the pool may be talking faces, EmoDB is audio alone. For a
# table of videos with their audio in files of its own, and of utterances within them:
#
#   TABLE="--media sound --video film --speaker speaker --start start --end end"
#
# INIT=hubert.safetensors, an imported encoder, is pre-trained further for some epochs on new units;
# PRESET is then the size of the control, the encoder as initialised.
#
# For each seed: EmoDB is split by speaker (no step that reads labels uses the two test speakers), the
# encoder is pre-trained on the training speakers and the pool, then projector, retrieval, adaptation, and
# a classifier, tested on the two speakers. Three encoders are compared: as initialised, pre-trained,
# adapted.

SEEDS ?= 0 1 2
OUT ?= emodb-chain
PRESET ?= nano
INIT ?=
MODALITY ?= audio
TABLE ?= --media path --speaker speaker
# Face detector of the pool, such as --faces yunet --face-model FILE.
FACES ?=
CLUSTERS ?= 100
PRETRAIN_EPOCHS ?= 20
PROJECTOR_EPOCHS ?= 50
ADAPT_EPOCHS ?= 10
FINETUNE_EPOCHS ?= 10
# Options with which the table in README.md was measured; an empty value gives the defaults of finetune.
FROZEN ?= --epochs 50 --head-learning-rate 1e-3 --head-penalty 0 --select ua
T ?= 0.02
LABEL := --label emotion --classes anger,happiness,neutral,sadness
# A small encoder on minutes of speech needs small batches and a higher rate than the paper's 1e-5.
BATCHES ?= --batch-seconds 30
RATE ?= 5e-4

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
O := $(OUT)/
ENCODERS := random pretrained
PARTS := $(foreach seed,$(SEEDS),$(O)$(seed)-)

RETRIEVALS := $(foreach e,$(ENCODERS),$(foreach part,$(PARTS),$(part)$(e)-retrieval.jsonl))
SCORED := $(foreach mode,frozen tuned,$(foreach e,$(ENCODERS) adapted,$(O)$(e)-$(mode).jsonl))

EMOTION := $(findstring emotion,$(shell head -1 $(POOL)))
GALLERIES := $(if $(filter av,$(MODALITY)),$(RETRIEVALS:.jsonl=.png))

.PHONY: table
table: $(RETRIEVALS) $(SCORED) $(GALLERIES)
ifneq ($(EMOTION),)
	@echo "Share of retrieved utterances with their query's emotion (T = $(T), chance 0.25)"
	@avaffect eval-class -q $(RETRIEVALS) --gold $(O)B.h5 --label hidden_emotion
	@echo
endif
	@echo "Held-out EmoDB speakers, $(words $(SEEDS)) divisions"
	@avaffect eval-class -q $(SCORED)

$(O)A.jsonl: | $(OUT)
	avaffect manifest emodb $(EMODB) -o $@

$(O)B.jsonl: | $(OUT)
	avaffect manifest table $(POOL) $(TABLE) \
		$(if $(EMOTION),--label hidden_emotion=emotion) -o $@

$(OUT):
	mkdir -p $@

$(O)B.h5: $(O)B.jsonl
	avaffect preprocess $< $(FACES) $(if $(filter av,$(MODALITY)),--preview $(O)B-faces) -o $@

# One store a division: the later commands find the splits in it.
$(O)%-A.jsonl: $(O)A.jsonl
	avaffect split $< --by speaker --ratios 70 10 20 --seed $* -o $@

$(O)%-A.h5: $(O)%-A.jsonl
	avaffect preprocess $< -o $@

$(O)%-kmeans.safetensors: $(O)%-A.h5 $(O)B.h5
	avaffect cluster $^ --features mfcc -k $(CLUSTERS) --seed $* -o $@

$(O)%-A-units.h5: $(O)%-A.h5 $(O)%-kmeans.safetensors
	avaffect extract $< --model $(O)$*-kmeans.safetensors -o $@

$(O)%-B-units.h5: $(O)B.h5 $(O)%-kmeans.safetensors
	avaffect extract $< --model $(O)$*-kmeans.safetensors -o $@

# EmoDB has no faces, so an audiovisual encoder is trained without one modality in half of the batches.
PRETRAIN = avaffect pretrain-hubert $(O)$*-A.h5 $(O)B.h5 --units $(O)$*-A-units.h5 \
	--units $(O)$*-B-units.h5 --seed $* $(if $(filter av,$(MODALITY)),--modality-dropout 0.5)
NEW := --modality $(MODALITY) --preset $(PRESET)

$(O)%-random.safetensors: $(O)%-A-units.h5 $(O)%-B-units.h5
	$(PRETRAIN) $(NEW) --steps 0 -o $@

$(O)%-pretrained.safetensors: $(O)%-A-units.h5 $(O)%-B-units.h5
	$(PRETRAIN) $(if $(INIT),--init $(INIT) --reset-head,$(NEW)) --epochs $(PRETRAIN_EPOCHS) $(BATCHES) --learning-rate 1e-3 -o $@

# Projector, embeddings and retrieval of one seed (1) on one encoder (2).
define retrieval
$(O)$(1)-$(2)-projector.safetensors: $(O)$(1)-$(2).safetensors
	avaffect train-projector $(O)$(1)-A.h5 --encoder $$< $(LABEL) --epochs $(PROJECTOR_EPOCHS) \
		--base 0.5 --epsilon 0.1 --seed $(1) -o $$@
$(O)$(1)-$(2)-msp.h5: $(O)$(1)-$(2)-projector.safetensors
	avaffect extract $(O)$(1)-A.h5 --model $$< -o $$@
$(O)$(1)-$(2)-vox.h5: $(O)$(1)-$(2)-projector.safetensors
	avaffect extract $(O)B.h5 --model $$< -o $$@
$(O)$(1)-$(2)-retrieval.jsonl: $(O)$(1)-$(2)-msp.h5 $(O)$(1)-$(2)-vox.h5
	avaffect retrieve --query $(O)$(1)-$(2)-msp.h5 --pool $(O)$(1)-$(2)-vox.h5 -T $(T) $(LABEL) \
		--seed $(1) -o $$@
endef
$(foreach seed,$(SEEDS),$(foreach e,$(ENCODERS),$(eval $(call retrieval,$(seed),$(e)))))

$(O)%-retrieval.png: $(O)%-retrieval.jsonl
	avaffect gallery $< -o $@

$(O)%-adapted.safetensors: $(O)%-pretrained-retrieval.jsonl
	avaffect adapt $< --epochs $(ADAPT_EPOCHS) $(BATCHES) --learning-rate $(RATE) --seed $* -o $@

# A classifier of one seed (1) on one encoder (2), and its predictions of the held-out speakers.
define classifier
$(O)$(1)-$(2)-frozen.safetensors: $(O)$(1)-$(2).safetensors
	avaffect finetune $(O)$(1)-A.h5 --encoder $$< $(LABEL) --mode frozen $(FROZEN) --seed $(1) -o $$@
$(O)$(1)-$(2)-tuned.safetensors: $(O)$(1)-$(2).safetensors
	avaffect finetune $(O)$(1)-A.h5 --encoder $$< $(LABEL) --epochs $(FINETUNE_EPOCHS) $(BATCHES) \
		--learning-rate $(RATE) --select ua --seed $(1) -o $$@
$(O)$(1)-$(2)-frozen.jsonl $(O)$(1)-$(2)-tuned.jsonl: %.jsonl: %.safetensors
	avaffect predict $(O)$(1)-A.h5 --model $$< --split test -o $$@
endef
$(foreach seed,$(SEEDS),$(foreach e,$(ENCODERS) adapted,\
	$(eval $(call classifier,$(seed),$(e)))))

$(foreach e,$(ENCODERS) adapted,$(foreach mode,frozen tuned,$(eval \
	$(O)$(e)-$(mode).jsonl: $(foreach part,$(PARTS),$(part)$(e)-$(mode).jsonl) ; \
	avaffect merge $$^ -o $$@)))
