# Tables I to III of Social-MAE (Bohy et al. 2024): an audiovisual masked autoencoder of faces and voices, fine-tuned
# on audio, video and both. And what nobody has published: SAAML's adaptation of it, with its own losses as L_PT.
#
#   make -f examples/social-mae.mk            all tables on synthetic people (see benchmarks/RESULTS.md)
#
# On your own recordings: stores made by `preprocess --size 224 --color rgb`, with splits by speaker.
#
#   make -f examples/social-mae.mk tables PAPER=1 POOL=vox.h5 INIT=cav-mae.safetensors DATA=stores \
#       TASKS="cremad traits ndcme" SCALARS=traits LABELS_ndcme="--label expression" \
#       LABELS_traits="--label openness --label conscientiousness --label extraversion --label agreeableness \
#           --label neuroticism"
#
# A task is a store $(DATA)/TASK.h5 (STORE_TASK: another path) and its labels, emotion by default; tasks in SCALARS are
# scored by 1 - MAE. Each is fine-tuned on audio, on video and on both from the pre-trained encoder, `mae`, and from
# its twin at random initialisation, `random`; WEIGHTS names an encoder in place of the pre-training. The classifier
# of both is also applied to audio alone and to video alone.

OUT ?= social
O := $(OUT)/
SEED ?= 1
INIT ?=

ifdef PAPER
# Of long clips, the mean over four sections and sets of pictures.
RUNS ?= 3
TRAIN ?= $(if $(INIT),--init $(INIT) --pictures 8,--preset base)
RANDOM ?= --preset base
HEAD ?= --epochs 10 --batch-utterances 8 --learning-rate 1e-4 --head-learning-rate 1e-5 --weight-decay 5e-7 \
	--betas .95 .999
OPTIONS_cremad ?= --epochs 20
OPTIONS_ndcme ?= --learning-rate 1e-5 --head-learning-rate 1e-4
LOSS_traits ?= --loss mae=1
VIEWS ?= 4
else
# On minutes of video a small encoder needs higher rates. It learns the contrast from many people in short sections, of
# which half of the patches are visible, and with a weight above the reconstruction's (benchmarks/RESULTS.md).
RUNS ?= 1
EPOCHS ?= 30
RANDOM ?= --preset nano --seconds 0.64
TRAIN ?= $(RANDOM) --epochs $(EPOCHS) --batch-utterances 64 --learning-rate 2e-3 --schedule cosine --decay 1 \
	--warmup 0.1 --contrast-weight 5 --both-ways --mask-audio 0.5 --mask-video 0.5
HEAD ?= --epochs 20 --least-steps 0 --batch-utterances 32 --learning-rate 1e-3 --head-learning-rate 2e-3
VIEWS ?= 2
endif

POOL ?= $(O)pool.h5
DATA ?= $(OUT)
TASKS ?= emotion
SCALARS ?=
STORE_emotion ?= $(O)people.h5
WEIGHTS ?= $(O)mae.safetensors
MODALITIES := audio video av
ENCODERS := random mae
# The encoder of SAAML's labelled task.
SAAML ?= emotion
# On the frozen encoder retrieval is near chance: the projector is trained with it.
PROJECT ?= --cross-entropy 2 --train-encoder --encoder-learning-rate 1e-3 --steps 200 --batch-utterances 32
ADAPT ?= --epochs 8 --learning-rate 5e-4 --domain-weight 0.1

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: all reconstruction tables saaml
.DEFAULT_GOAL := all
$(shell mkdir -p $(OUT))

all: reconstruction tables saaml

store = $(or $(STORE_$(1)),$(DATA)/$(1).h5)
labels = $(or $(LABELS_$(1)),--label emotion)
score = $(if $(filter $(1),$(SCALARS)),eval-ccc --accuracy,eval-class)

# -- pre-training ----------------------------------------------------------------------------------

$(O)mae.safetensors: $(POOL)
	avaffect pretrain-mae $(POOL) $(TRAIN) --seed $(SEED) --preview $(O)reconstruction.png -o $@

$(O)random.safetensors: $(POOL)
	avaffect pretrain-mae $(POOL) $(RANDOM) --seed $(SEED) --steps 0 -o $@

# Unseen people: the development split of the pool, after the last epoch.
reconstruction: $(WEIGHTS)
	@echo; echo "Unseen people: error of hidden patches beside that of the mean patch (audio, video); share of videos"
	@echo "whose own audio is the most similar in its batch (matched_audio), the reverse, and chance"
	@grep -h development_ $(O)mae.safetensors.metrics.jsonl | tail -n 1 | tr ',{}' '\n' | \
		sed -n 's/^ *"development_\(.*\)": \([0-9.]*\).*/\1\t\2/p'
	@echo "Hidden and reconstructed: $(O)reconstruction.png"

# -- fine-tuning -----------------------------------------------------------------------------------

# $(1) task, $(2) encoder, $(3) its checkpoint, $(4) modality
define row
$(O)$(1)-$(2)-$(4).safetensors: $(call store,$(1)) $(3)
	avaffect finetune $(call store,$(1)) --encoder $(3) --modality $(4) --pooled-norm $(call labels,$(1)) \
		$(LOSS_$(1)) $(HEAD) $(OPTIONS_$(1)) --runs $(RUNS) --seed $(SEED) -o $$@
$(O)$(1)-$(2)-$(4).jsonl: $(O)$(1)-$(2)-$(4).safetensors
	avaffect predict $(call store,$(1)) --model $$< --split test --views $(VIEWS) -o $$@
endef

# $(1) task, $(2) encoder, $(3) the modality that the classifier of both is applied to
define applied
$(O)$(1)-$(2)-av-on-$(3).jsonl: $(O)$(1)-$(2)-av.safetensors
	avaffect predict $(call store,$(1)) --model $$< --split test --views $(VIEWS) --modality $(3) -o $$@
endef

checkpoint = $(if $(filter mae,$(1)),$(WEIGHTS),$(O)$(1).safetensors)
$(foreach t,$(TASKS),$(foreach e,$(ENCODERS),\
	$(foreach m,$(MODALITIES),$(eval $(call row,$(t),$(e),$(call checkpoint,$(e)),$(m))))\
	$(foreach m,audio video,$(eval $(call applied,$(t),$(e),$(m))))))

WAYS := $(MODALITIES) av-on-audio av-on-video
rows = $(foreach e,$(ENCODERS),$(foreach w,$(WAYS),$(O)$(1)-$(e)-$(w).jsonl))

# $(1) title, $(2) task, $(3) predictions
define table
	@echo; echo "$(1): $(2), test speakers, $(RUNS) runs"
	@avaffect $(call score,$(2)) -q $(3)

endef

tables: $(foreach t,$(TASKS),$(call rows,$(t)))
	$(foreach t,$(TASKS),$(call table,Tables I to III,$(t),$(call rows,$(t))))

# -- SAAML on Social-MAE ---------------------------------------------------------------------------

S := $(call store,$(SAAML))

$(O)projector.safetensors: $(WEIGHTS) $(S)
	avaffect train-projector $(S) --encoder $(WEIGHTS) $(call labels,$(SAAML)) --base 0.5 --epsilon 0.1 $(PROJECT) \
		--seed $(SEED) -o $@

$(O)query.h5: $(O)projector.safetensors
	avaffect extract $(S) --model $< -o $@

$(O)answers.h5: $(O)projector.safetensors
	avaffect extract $(POOL) --model $< -o $@

$(O)adapted.safetensors: $(O)query.h5 $(O)answers.h5
	avaffect retrieve --query $(O)query.h5 --pool $(O)answers.h5 -T 0.02 --seed $(SEED) | \
		avaffect adapt $(ADAPT) --seed $(SEED) -o $@

$(foreach m,$(MODALITIES),$(eval $(call row,$(SAAML),adapted,$(O)adapted.safetensors,$(m))))

SAAML_ROWS := $(foreach e,mae adapted,$(MODALITIES:%=$(O)$(SAAML)-$(e)-%.jsonl))
saaml: $(SAAML_ROWS)
	$(call table,SAAML with the losses of Social-MAE,$(SAAML),$(SAAML_ROWS))

# -- synthetic people ------------------------------------------------------------------------------

# Many people in short clips, so that the encoder does not learn them by heart.
CLIPS ?= 1600
PEOPLE ?= 400
LABELLED ?= 480
LABELLED_PEOPLE ?= 120
LENGTHS := --shortest 0.6 --longest 0.8

$(O)pool-all.jsonl:
	avaffect synth $(O)pool --domain A --utterances $(CLIPS) --speakers $(PEOPLE) $(LENGTHS) --seed $(SEED) -o $@

$(O)people-all.jsonl:
	avaffect synth $(O)people --domain U --utterances $(LABELLED) --speakers $(LABELLED_PEOPLE) $(LENGTHS) --seed $(SEED) -o $@

$(O)pool.jsonl: RATIOS := 80 20 0
$(O)people.jsonl: RATIOS := 50 20 30
$(O)pool.jsonl $(O)people.jsonl: $(O)%.jsonl: $(O)%-all.jsonl
	avaffect split $< --by speaker --ratios $(RATIOS) --seed $(SEED) -o $@

$(O)pool.h5 $(O)people.h5: $(O)%.h5: $(O)%.jsonl
	avaffect preprocess $< --size 48 --color rgb -o $@
