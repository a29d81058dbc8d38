# SAAML on real speech with published weights: A is EmoDB (labelled), B is speech in a table.
#
#   make -f examples/real.mk WEIGHTS=whisper-tiny.en EMODB=emodb POOL=pool.csv OUT=real [table2 table7 table8 table9 report]
#
# WEIGHTS is what `avaffect import` takes: a folder or file of Whisper, WavLM, HuBERT, wav2vec 2.0. POOL is a CSV
# with the columns path and speaker. A column emotion, if there is one, goes into a manifest of its own, which no
# step before the last classifier reads: it scores the retrieval, and the encoders on B (another language, other
# speakers, other microphones).
#
# For each seed, EmoDB is divided by speaker: training, development, and two test speakers whose labels no step
# of training reads. The encoders that are compared:
#
#   random       the same model at random initialisation
#   published    the weights as they were published
#   pretrained   pre-trained further on B, by masked prediction of units of a middle layer
#   tapt         pre-trained further on the training speakers of A alone; tested on B it is the paper's CTAPT
#   adapted      adapted by SAAML's three losses on A and what it retrieves from B
#   no-dc, no-pt, no-ec   adapted without one of the losses (domain, pre-training, emotion)
#   fixmatch, cdac   adapted with other losses of retrieved utterances (table 7)
#
# Each is tested in three ways:
#
#   A            a classifier of the training speakers of A on its test speakers
#   across       the same classifier on B
#   B            a classifier of B, in folds of its speakers. The paper too adapts with the labels of one corpus and
#                classifies another
#
# MODES: with a frozen encoder, a linear support vector machine on its mean over time; fine-tuned, by the epoch that is best
# on development and by the last. `compare` tests each row against `adapted`, paired by seed. Tables 8 and 9 (losses of the
# projector) need no adaptation. Every step writes a file; a second run makes only the files that are missing.

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
# With a weight of 1 the domain loss rises above that of chance: the encoder inverts the domain.
DOMAIN_WEIGHT ?= 0.1
FOLDS ?= 5
BATCHES ?= --batch-seconds 60 --crop-seconds 4 --precision bf16
T ?= 0.02
CLASSES := anger,happiness,neutral,sadness
LABEL := --label emotion --classes $(CLASSES)

# Two steps at a time with -j 2, each on one thread.
export OMP_NUM_THREADS ?= 1
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
O := $(OUT)/
SHARED := random published pretrained
ADAPTED := tapt adapted no-dc no-pt no-ec fixmatch cdac
ENCODERS := $(SHARED) $(ADAPTED)
MODES := frozen tuned
TABLE2 := $(filter-out fixmatch cdac,$(ENCODERS))
TABLE7 := $(filter adapted fixmatch cdac,$(ENCODERS))
EMOTION := $(findstring emotion,$(shell head -1 $(POOL)))
TESTS := A $(if $(EMOTION),across B)
# A fitted classifier has no epochs.
epochs = $(if $(filter frozen,$(1)),best,best last)
SVM := --head svm --head-option kernel=linear
SELF := $(lastword $(MAKEFILE_LIST))

RETRIEVALS := $(SEEDS:%=$(O)%-retrieval.jsonl)
# Modes (1) of the tests of B: those of A alone are fine-tuned.
tests = $(if $(filter frozen,$(1)),$(TESTS),$(filter-out B,$(TESTS)))
# Predictions of rows (1) in a mode (2) and test (3) by the classifiers of an epoch (4); with names before them (5).
predicted = $(foreach e,$(1),$(foreach n,$(SEEDS),$(5:%=$(e)=)$(O)$(n)-$(e)-$(2)-$(3)-$(4).jsonl))
every = $(foreach m,$(MODES),$(foreach t,$(call tests,$(m)),$(foreach k,$(call epochs,$(m)),$(call predicted,$(1),$(m),$(t),$(k)))))

comma := ,
# Of a table (1) of rows (2): mode (3), test (4), epoch (5).
words_A := test speakers of A
words_across := trained on A, tested on B
words_B := folds of B
define compared
@echo; echo "$(1): $(words_$(4)), $(3)$(if $(filter tuned,$(3)),$(comma) $(5) epoch) ($(words $(SEEDS)) seeds)"
@avaffect compare -q --score ua --score accuracy $(if $(filter adapted,$(2)),--baseline adapted) \
	$(call predicted,$(2),$(3),$(4),$(5),name)

endef
compared_all = $(foreach m,$(MODES),$(foreach t,$(call tests,$(m)),$(foreach k,$(call epochs,$(m)),$(call compared,$(1),$(2),$(m),$(t),$(k)))))

.PHONY: table table2 table7 retrieved report
table: table2 table7
ifeq ($(filter-out table,$(MAKECMDGOALS)),)
table7: | table2
endif

retrieved: $(RETRIEVALS) $(if $(EMOTION),$(O)B-gold.jsonl)
ifneq ($(EMOTION),)
	@echo; echo "Share of retrieved utterances with their query's emotion (T = $(T), chance 0.25)"
	@avaffect eval-class -q $(RETRIEVALS) --gold $(O)B-gold.jsonl --label emotion
endif

table2: retrieved $(call every,$(TABLE2))
	$(call compared_all,Table 2,$(TABLE2))

table7: $(call every,$(TABLE7))
	$(call compared_all,Table 7,$(TABLE7))

# Everything of the first seed on one page, and all seeds of tables 2 and 7 on A side by side.
FIRST := $(firstword $(SEEDS))
AS_RUNS := $(foreach e,$(ENCODERS),$(O)$(e)-frozen-A.jsonl)
report: $(O)report.html
$(O)report.html: $(AS_RUNS) $(O)$(FIRST)-retrieval.jsonl $(O)$(FIRST)-adapted.safetensors $(O)$(FIRST)-queries.h5 \
		$(O)published-mean-A.h5 $(O)$(FIRST)-adapted-mean-A.h5 $(if $(EMOTION),$(O)B-gold.jsonl)
	avaffect report $(filter-out $(O)B-gold.jsonl,$^) $(if $(EMOTION),--gold $(O)B-gold.jsonl --label emotion) \
		--by emotion --by speaker --baseline adapted-frozen-A --listen --title "SAAML on real speech" -o $@

define as_runs
$(O)$(1)-frozen-A.jsonl: $(call predicted,$(1),frozen,A,best)
	avaffect merge $$^ -o $$@
endef
$(foreach e,$(ENCODERS),$(eval $(call as_runs,$(e))))

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

OPTIONS_adapted :=
OPTIONS_tapt := --method tapt
OPTIONS_no-dc := --without dc
OPTIONS_no-pt := --without pt
OPTIONS_no-ec := --without ec
OPTIONS_fixmatch := --method fixmatch
# In so few steps the weight of the consistency loss has to rise sooner than in the paper's 2000.
OPTIONS_cdac := --method cdac --consistency-ramp 20

# tapt and no-dc have no loss of domains.
define adaptation
$(O)%-$(1).safetensors: $(O)%-retrieval.jsonl
	avaffect adapt $$< $(OPTIONS_$(1)) $(if $(filter tapt no-dc,$(1)),,--domain-weight $(DOMAIN_WEIGHT)) \
		--steps $(ADAPT_STEPS) --learning-rate $(RATE) $(BATCHES) --seed $$* -o $$@
endef
$(foreach e,$(ADAPTED),$(eval $(call adaptation,$(e))))

# -- classifiers ----------------------------------------------------------------------------------

# An encoder (1) as a file, of a seed (2).
encoder = $(O)$(if $(filter $(SHARED),$(1)),,$(2)-)$(1).safetensors
# Means over time of the frozen encoder, computed once for all that is trained on them.
$(O)%-mean-A.h5: $(O)%.safetensors $(O)A.h5
	avaffect extract $(O)A.h5 --model $< --pooled-only -o $@
$(O)%-mean-B.h5: $(O)%.safetensors $(O)B.h5
	avaffect extract $(O)B.h5 --model $< --pooled-only -o $@

$(O)B-folds-%.jsonl: $(O)B-gold.jsonl
	avaffect select $< --where emotion=$(CLASSES) | avaffect split - --by speaker --folds $(FOLDS) --stratify emotion \
		--seed $* -o $@

# Classifiers of a seed (1) on an encoder (2), whose file is (3).
means = $(3:.safetensors=-mean-$(1).h5)
define classifiers
$(O)$(1)-$(2)-frozen-best.safetensors: $(call means,A,,$(3)) $(O)$(1)-division.jsonl
	avaffect finetune $$< --annotations $(O)$(1)-division.jsonl $(LABEL) $(SVM) --seed $(1) -o $$@
$(O)$(1)-$(2)-frozen-B-best.safetensors: $(call means,B,,$(3)) $(O)B-folds-$(1).jsonl
	avaffect finetune $$< --annotations $(O)B-folds-$(1).jsonl $(LABEL) $(SVM) --seed $(1) -o $$@
$(O)$(1)-$(2)-tuned-best.safetensors $(O)$(1)-$(2)-tuned-last.safetensors &: $(3) $(O)A.h5 $(O)$(1)-division.jsonl
	avaffect finetune $(O)A.h5 --annotations $(O)$(1)-division.jsonl --encoder $$< $(LABEL) --steps $(FINETUNE_STEPS) \
		--learning-rate $(RATE) $(BATCHES) --seed $(1) \
		-o $(O)$(1)-$(2)-tuned-best.safetensors --last $(O)$(1)-$(2)-tuned-last.safetensors
endef
# Their predictions.
define predictions
$(O)$(1)-$(2)-frozen-A-best.jsonl: $(O)$(1)-$(2)-frozen-best.safetensors $(call means,A,,$(3))
	avaffect predict $(call means,A,,$(3)) --annotations $(O)$(1)-division.jsonl --model $$< --split test -o $$@
$(O)$(1)-$(2)-frozen-across-best.jsonl: $(O)$(1)-$(2)-frozen-best.safetensors $(call means,B,,$(3)) $(O)B-gold.jsonl
	avaffect predict $(call means,B,,$(3)) --annotations $(O)B-gold.jsonl --model $$< -o $$@
$(O)$(1)-$(2)-frozen-B-best.jsonl: $(O)$(1)-$(2)-frozen-B-best.safetensors $(call means,B,,$(3))
	avaffect predict $(call means,B,,$(3)) --annotations $(O)B-folds-$(1).jsonl --model $$< -o $$@
$(O)$(1)-$(2)-tuned-A-best.jsonl $(O)$(1)-$(2)-tuned-A-last.jsonl: $(O)$(1)-$(2)-tuned-A-%.jsonl: \
		$(O)$(1)-$(2)-tuned-%.safetensors $(O)A.h5
	avaffect predict $(O)A.h5 --annotations $(O)$(1)-division.jsonl --model $$< --split test -o $$@
$(O)$(1)-$(2)-tuned-across-best.jsonl $(O)$(1)-$(2)-tuned-across-last.jsonl: $(O)$(1)-$(2)-tuned-across-%.jsonl: \
		$(O)$(1)-$(2)-tuned-%.safetensors $(O)B.h5 $(O)B-gold.jsonl
	avaffect predict $(O)B.h5 --annotations $(O)B-gold.jsonl --model $$< -o $$@
endef
$(foreach n,$(SEEDS),$(foreach e,$(ENCODERS),\
	$(eval $(call classifiers,$(n),$(e),$(call encoder,$(e),$(n))))\
	$(eval $(call predictions,$(n),$(e),$(call encoder,$(e),$(n))))))

# -- tables 8 and 9 -------------------------------------------------------------------------------

L := $(O)
FROZEN := $(O)pretrained.safetensors
LABELLED := $(O)A.h5
LABELLED_BY := $(O)A.jsonl
include $(dir $(SELF))projector-losses.mk
