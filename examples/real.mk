# SAAML on real speech with published weights: A is EmoDB (labelled), B is speech in a table.
#
#   make -f examples/real.mk WEIGHTS=whisper-tiny.en EMODB=emodb POOL=pool.csv OUT=real
#
# WEIGHTS is what `avaffect import` takes: a folder or file of Whisper, WavLM, HuBERT, wav2vec 2.0. POOL is a CSV
# with the columns path and speaker. A column emotion, if there is one, goes into a manifest of its own, which no
# step of training reads: it scores the retrieval, and the classifiers of EmoDB on B (another language, other
# speakers, other microphones).
#
# For each seed, EmoDB is divided by speaker: training, development, and two test speakers whose labels no step
# of training reads. The encoders that are compared:
#
#   random       the same model at random initialisation
#   published    the weights as they were published
#   pretrained   pre-trained further on B, by masked prediction of units of a middle layer
#   adapted      adapted by SAAML's three losses on A and what it retrieves from B
#   no-ec, no-dc, no-pt   adapted without one of the losses (emotion, domain, pre-training)
#   tapt         pre-trained further on the training speakers of A alone; tested on B it is the paper's CTAPT
#   fixmatch, cdac   adapted with other losses of retrieved utterances
#
# The last two lines, of Tables 2 and 7 of SAAML, with ADAPTED="adapted tapt fixmatch cdac".
#
# A classifier is trained on each, frozen and fine-tuned. `compare` tests each row against `pretrained`, paired
# by seed. Every step writes a file; a second run makes only the files that are missing.

WEIGHTS ?= whisper-tiny.en
SEEDS ?= 0 1 2 3 4
OUT ?= real
# The layer whose frames are clustered into units, and the number of clusters.
UNITS_LAYER ?= 3
CLUSTERS ?= 100
PRETRAIN_STEPS ?= 300
ADAPT_STEPS ?= 60
FINETUNE_STEPS ?= 60
# Peak learning rates of the encoder: in masked prediction; in adaptation and fine-tuning.
PRETRAIN_RATE ?= 2e-4
RATE ?= 5e-5
BATCHES ?= --batch-seconds 60 --crop-seconds 4 --precision bf16
T ?= 0.02
LABEL := --label emotion --classes anger,happiness,neutral,sadness

# Two steps at a time with -j 2, each on one thread.
export OMP_NUM_THREADS ?= 1
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
O := $(OUT)/
SHARED := random published pretrained
ADAPTED := adapted no-ec no-dc no-pt
ENCODERS := $(SHARED) $(ADAPTED)
MODES := frozen tuned
ROWS := $(foreach mode,$(MODES),$(ENCODERS:%=%-$(mode)))
EMOTION := $(findstring emotion,$(shell head -1 $(POOL)))

RETRIEVALS := $(SEEDS:%=$(O)%-retrieval.jsonl)
SCORES := $(ROWS:%=$(O)%.json)
ACROSS := $(if $(EMOTION),$(ROWS:%=$(O)%-across.json))
# A table of one mode (1), reports with another ending (2), each row beside the pre-trained encoder.
compared = avaffect compare -q --score ua --baseline pretrained $(foreach e,$(ENCODERS),$(e)=$(O)$(e)-$(1)$(2).json)

.PHONY: table
table: $(SCORES) $(ACROSS) $(RETRIEVALS) $(if $(EMOTION),$(O)B-gold.jsonl)
ifneq ($(EMOTION),)
	@echo "Share of retrieved utterances with their query's emotion (T = $(T), chance 0.25)"
	@avaffect eval-class -q $(RETRIEVALS) --gold $(O)B-gold.jsonl --label emotion
	@for mode in $(MODES); do \
		echo; echo "Trained on EmoDB, tested on B: $$mode"; \
		$(call compared,$$mode,-across); \
	done
endif
	@for mode in $(MODES); do \
		echo; echo "Held-out speakers of EmoDB, $(words $(SEEDS)) divisions: $$mode"; \
		$(call compared,$$mode,); \
	done

# -- stores ---------------------------------------------------------------------------------------

$(O)A.jsonl:
	@mkdir -p $(OUT)
	avaffect manifest emodb $(EMODB) -o $@

$(O)B.jsonl: $(POOL)
	@mkdir -p $(OUT)
	avaffect manifest table $(POOL) --media path --speaker speaker -o $@

$(O)B-gold.jsonl: $(POOL)
	@mkdir -p $(OUT)
	avaffect manifest table $(POOL) --media path --speaker speaker --label emotion -o $@

$(O)A.h5 $(O)B.h5: $(O)%.h5: $(O)%.jsonl
	avaffect preprocess $< -o $@

$(O)%-division.jsonl: $(O)A.jsonl
	avaffect split $< --by speaker --ratios 70 10 20 --seed $* -o $@

# -- encoders -------------------------------------------------------------------------------------

$(O)published.safetensors:
	@mkdir -p $(OUT)
	avaffect import $(WEIGHTS) -o $@

$(O)random.safetensors:
	@mkdir -p $(OUT)
	avaffect import $(WEIGHTS) --random -o $@

$(O)kmeans.safetensors: $(O)published.safetensors $(O)B.h5
	avaffect cluster $(O)B.h5 --model $< --layer $(UNITS_LAYER) -k $(CLUSTERS) --initialisations 3 -o $@

$(O)units.h5: $(O)kmeans.safetensors
	avaffect extract $(O)B.h5 --model $< -o $@

$(O)pretrained.safetensors: $(O)published.safetensors $(O)units.h5
	avaffect pretrain-hubert $(O)B.h5 --init $< --reset-head --units $(O)units.h5 --steps $(PRETRAIN_STEPS) \
		--learning-rate $(PRETRAIN_RATE) $(BATCHES) -o $@

$(O)%-projector.safetensors: $(O)pretrained.safetensors $(O)%-division.jsonl $(O)A.h5
	avaffect train-projector $(O)A.h5 --annotations $(O)$*-division.jsonl --encoder $< $(LABEL) --base 0.5 \
		--epsilon 0.1 --seed $* -o $@

$(O)%-queries.h5: $(O)%-projector.safetensors
	avaffect extract $(O)A.h5 --model $< -o $@

$(O)%-embeddings.h5: $(O)%-projector.safetensors
	avaffect extract $(O)B.h5 --model $< -o $@

$(O)%-retrieval.jsonl: $(O)%-queries.h5 $(O)%-embeddings.h5
	avaffect retrieve --query $< --pool $(O)$*-embeddings.h5 -T $(T) --annotations $(O)$*-division.jsonl \
		$(LABEL) --seed $* -o $@

ADAPT = avaffect adapt $< --steps $(ADAPT_STEPS) --learning-rate $(RATE) $(BATCHES) --seed $* -o $@
$(O)%-adapted.safetensors: $(O)%-retrieval.jsonl
	$(ADAPT)
$(O)%-no-ec.safetensors: $(O)%-retrieval.jsonl
	$(ADAPT) --without ec
$(O)%-no-dc.safetensors: $(O)%-retrieval.jsonl
	$(ADAPT) --without dc
$(O)%-no-pt.safetensors: $(O)%-retrieval.jsonl
	$(ADAPT) --without pt
$(O)%-tapt.safetensors: $(O)%-retrieval.jsonl
	$(ADAPT) --method tapt
$(O)%-fixmatch.safetensors: $(O)%-retrieval.jsonl
	$(ADAPT) --method fixmatch
# In so few steps the weight of the consistency loss has to rise sooner than in the paper's 2000.
$(O)%-cdac.safetensors: $(O)%-retrieval.jsonl
	$(ADAPT) --method cdac --consistency-ramp 20

# -- classifiers ----------------------------------------------------------------------------------

# Of one seed (1) on one encoder (2), whose file is (3); predictions of the test speakers and of B.
define classifier
$(O)$(1)-$(2)-frozen.safetensors $(O)$(1)-$(2)-tuned.safetensors: $(3) $(O)A.h5 $(O)$(1)-division.jsonl
$(O)$(1)-$(2)-frozen.safetensors: MODE := --mode frozen
$(O)$(1)-$(2)-tuned.safetensors: MODE := --steps $(FINETUNE_STEPS) --learning-rate $(RATE) $(BATCHES)
$(O)$(1)-$(2)-frozen.safetensors $(O)$(1)-$(2)-tuned.safetensors:
	avaffect finetune $(O)A.h5 --annotations $(O)$(1)-division.jsonl --encoder $$< $(LABEL) $$(MODE) \
		--seed $(1) -o $$@
$(O)$(1)-$(2)-frozen.jsonl $(O)$(1)-$(2)-tuned.jsonl: %.jsonl: %.safetensors
	avaffect predict $(O)A.h5 --annotations $(O)$(1)-division.jsonl --model $$< --split test -o $$@
$(O)$(1)-$(2)-frozen-across.jsonl $(O)$(1)-$(2)-tuned-across.jsonl: %-across.jsonl: %.safetensors
	avaffect predict $(O)B.h5 --model $$< -o $$@
endef
$(foreach seed,$(SEEDS),\
	$(foreach e,$(SHARED),$(eval $(call classifier,$(seed),$(e),$(O)$(e).safetensors)))\
	$(foreach e,$(ADAPTED),$(eval $(call classifier,$(seed),$(e),$(O)$(seed)-$(e).safetensors))))

# Predictions of all seeds of a row (1), and their scores.
define row
$(O)$(1).jsonl: $(SEEDS:%=$(O)%-$(1).jsonl)
	avaffect merge $$^ -o $$@
$(O)$(1)-across.jsonl: $(SEEDS:%=$(O)%-$(1)-across.jsonl)
	avaffect merge $$^ -o $$@
endef
$(foreach r,$(ROWS),$(eval $(call row,$(r))))

$(SCORES): %.json: %.jsonl
	avaffect eval-class -q $< -o $@

$(ACROSS): %.json: %.jsonl $(O)B-gold.jsonl
	avaffect eval-class -q $< --gold $(O)B-gold.jsonl --label emotion -o $@
