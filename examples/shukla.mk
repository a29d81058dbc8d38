# Tables 2, 4 and 5 and figures 7 and 8 of Shukla, Petridis and Pantic 2021: Does visual self-supervision
# improve learning of speech representations for emotion recognition?
#
#   make -f examples/shukla.mk                        table 2 on synthetic talking faces, in some forty minutes on two cores
#   make -f examples/shukla.mk -j 2 table4 table5 figure7 figure8
#
# On your own recordings: stores made by `preprocess`, with splits by speaker; the pool must have faces.
#
#   make -f examples/shukla.mk POOL=lrw.h5 DATA=stores TASKS="cremad ravdess iemocap words sewa recola" \
#       LABELS_words="--label word" \
#       LABELS_iemocap="--classes anger,happiness=happiness+excitement,neutral,sadness" \
#       TRACES="sewa recola" PAPER=1
#
# A task is a store $(DATA)/TASK.h5 and a label: emotion by default, arousal and valence over time for the
# tasks in TRACES. LABELS_TASK gives other labels, STORE_TASK another path of the store.
# With FOLDS=K (K folds of speakers, in the stores) every speaker is tested once in each run. Table 4
# chooses by the development split, and needs splits instead.
#
# Every encoder is trained on the pool without labels, then frozen; a bidirectional GRU is trained on
# its features. The row `random` is the encoder at random initialisation, cpc-random and pase-random are
# those of CPC and PASE: gains are differences to these rows. BASELINE names the row of the t-tests, if
# ROWS does not contain `random`.

OUT ?= shukla
O := $(OUT)/
comma := ,
FOLDS ?=

ifdef PAPER
# The paper's sizes and rates: two layers of 256 on 100 frames a second; the rate is divided by ten.
RUNS ?= 10
PRESET ?= base
TRAIN ?= --preset $(PRESET)
FACES ?=
HEAD ?= --head bgru --epochs 100 --schedule constant --warmup 0 --decay 0.1 --decay-every 40 \
	--head-learning-rate 1e-4 --frames-per-step 1
TUNE ?= --learning-rate 1e-4
else
# Small encoders on minutes of speech need higher rates. A later option overrides an earlier one;
# OPTIONS_ROW are the options of one pre-training.
RUNS ?= 3
PRESET ?= nano
TRAIN ?= --preset $(PRESET) --epochs 20 --learning-rate 1e-3 --batch-utterances 16
OPTIONS_cpc ?= --learning-rate 2e-4
# Faces take longest: many epochs, until unseen faces are rendered finely enough to show motion.
FACES ?= --epochs 75 --learning-rate 3e-3 --schedule cosine --pictures 8
HEAD ?= --head bgru --hidden 64 --frames-per-step 4 --head-learning-rate 2e-3 --epochs 20
TUNE ?= --learning-rate 1e-3
endif
OPTIONS_l1 ?= $(FACES)
OPTIONS_l1odd ?= $(FACES) --alpha 0.67

POOL ?= $(O)pool.h5
DATA ?= $(OUT)
TASKS ?= emotion affect
TRACES ?= affect
STORE_emotion ?= $(O)U.h5
STORE_affect ?= $(O)U.h5
# Tasks of tables 4 and 5 and figures 7 and 8.
CLASS_TASKS ?= $(filter-out $(TRACES),$(TASKS))

# Add compare-lld where the optional openSMILE is installed.
FRONT_ENDS ?= mfcc logmel
ENCODERS ?= cpc-random cpc pase-random pase random apc odd l1 l1odd
ROWS ?= $(FRONT_ENDS) $(ENCODERS) finetuned supervised
BASELINE ?= random
ALPHAS ?= 0.17 0.33 0.50 0.67 0.83
SNRS ?= -5 0 5 10 15 20
SHARES ?= 0.2 0.4 0.6 0.8
# Noise of figure 7: babble of six utterances of the pool, or recordings (NOISE=folder BABBLE=1).
NOISE ?= $(POOL)
BABBLE ?= 6

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: table2 table4 table5 figure7 figure8
.DEFAULT_GOAL := table2
$(shell mkdir -p $(OUT))

store = $(or $(STORE_$(1)),$(DATA)/$(1).h5)
is_trace = $(filter $(TRACES),$(1))
labels = $(or $(LABELS_$(1)),$(if $(is_trace),--label arousal --label valence,--label emotion))
score = $(if $(is_trace),ccc,f1_macro)

# -- reports: one for each task (or variant of a task) and row -------------------------------------

# $(1) name of the report, $(2) training store, $(3) task, $(4) further options of finetune,
# $(5) options of predict, by default --split test
define report
$(O)$(1).safetensors: $(2)
	avaffect finetune $(2) $(call labels,$(3)) $(HEAD) --runs $(RUNS) \
		$(if $(FOLDS),--folds $(FOLDS)) $(4) -o $$@
$(O)$(1).$(if $(call is_trace,$(3)),h5,jsonl): $(O)$(1).safetensors
	avaffect predict $(2) --model $$< $(or $(5),$(if $(FOLDS),,--split test)) -o $$@
$(O)$(1).json: $(O)$(1).$(if $(call is_trace,$(3)),h5,jsonl)
	$(if $(call is_trace,$(3)),avaffect eval-ccc $$< --gold $(2),avaffect eval-class $$<) -o $$@
endef

# A report on frozen features. $(1) task or variant, $(2) its media store, $(3) task, $(4) row,
# $(5) options of finetune.
define frozen
$(O)$(1)-$(4)-features.h5: $(2) $(if $(filter $(FRONT_ENDS),$(4)),,$(O)$(4).safetensors)
	avaffect extract $(2) --model $(if $(filter $(FRONT_ENDS),$(4)),$(4),$(O)$(4).safetensors) -o $$@
$(call report,$(1)-$(4),$(O)$(1)-$(4)-features.h5,$(3),$(5))
endef

define task
$(foreach row,$(FRONT_ENDS) $(ENCODERS),$(eval $(call frozen,$(1),$(call store,$(1)),$(1),$(row))))
$(eval $(call report,$(1)-finetuned,$(call store,$(1)),$(1),--encoder $(O)l1odd.safetensors $(TUNE)))
$(eval $(call report,$(1)-supervised,$(call store,$(1)),$(1),\
	--encoder $(O)random.safetensors --mode scratch $(TUNE)))
$(O)$(1)-finetuned.safetensors: $(O)l1odd.safetensors
$(O)$(1)-supervised.safetensors: $(O)random.safetensors
endef
$(foreach t,$(TASKS),$(eval $(call task,$(t))))

# $(1) title, $(2) score, $(3) names of rows, $(4) prefix of their file names, $(5) baseline
define table
@echo; echo "$(1)"
@avaffect compare -q --score $(2) $(if $(5),--baseline $(5)) $(foreach row,$(3),$(row)=$(O)$(4)$(row).json)

endef

table2: $(foreach t,$(TASKS),$(foreach row,$(ROWS),$(O)$(t)-$(row).json))
	$(foreach t,$(TASKS),$(call table,Table 2: $(t) ($(call score,$(t)) of $(RUNS) runs; t-tests against $(BASELINE)),$(call score,$(t)),$(ROWS),$(t)-,$(BASELINE)))

# -- table 4: the weight alpha of L1 in L1 + Odd, scored on development ----------------------------

define alpha
$(O)l1odd-$(1).safetensors: $(POOL)
	avaffect pretrain-l1 $(POOL) $(TRAIN) $(FACES) --alpha $(1) -o $$@
$(foreach t,$(CLASS_TASKS),$(eval $(call frozen,$(t),$(call store,$(t)),$(t),l1odd-$(1))))
$(foreach t,$(CLASS_TASKS),$(eval $(call development,$(t)-l1odd-$(1))))
endef
define development
$(O)$(1)-development.jsonl: $(O)$(1).safetensors
	avaffect predict $(O)$(1)-features.h5 --model $$< --split development -o $$@
$(O)$(1)-development.json: $(O)$(1)-development.jsonl
	avaffect eval-class $$< -o $$@
endef
$(foreach a,$(ALPHAS),$(eval $(call alpha,$(a))))

ifdef FOLDS
table4:
	@echo "table 4 chooses alpha on the split development: it needs splits, not FOLDS" >&2; exit 2
else
table4: $(foreach t,$(CLASS_TASKS),$(foreach a,$(ALPHAS),$(O)$(t)-l1odd-$(a)-development.json))
	$(foreach t,$(CLASS_TASKS),$(call table,Table 4: $(t)$(comma) accuracy on development by alpha,accuracy,$(addsuffix -development,$(ALPHAS)),$(t)-l1odd-))
endif

# -- table 5: a tenth of the labels ----------------------------------------------------------------

TABLE5 ?= $(FRONT_ENDS) $(ENCODERS)
define tenth
$(eval $(call report,$(1)-tenth-$(2),$(O)$(1)-$(2)-features.h5,$(1),--fraction 0.1))
endef
$(foreach t,$(CLASS_TASKS),$(foreach row,$(TABLE5),$(eval $(call tenth,$(t),$(row)))))

table5: $(foreach t,$(CLASS_TASKS),$(foreach row,$(TABLE5),$(O)$(t)-$(row).json $(O)$(t)-tenth-$(row).json))
	$(foreach t,$(CLASS_TASKS),$(call table,Table 5: $(t)$(comma) all labels,f1_macro,$(TABLE5),$(t)-,$(BASELINE))$(call table,Table 5: $(t)$(comma) a tenth of the labels,f1_macro,$(TABLE5),$(t)-tenth-,$(BASELINE)))

# -- figure 7: babble added to the recordings, in training and in test -----------------------------

FIGURE7 ?= mfcc odd l1 l1odd
define noisy
$(O)$(1)-snr$(2).h5: $(call store,$(1)) $(NOISE)
	avaffect augment-noise $$< --noise $(NOISE) --babble $(BABBLE) --snr $(2) --audio-only -o $$@
$(foreach row,$(FIGURE7),$(eval $(call frozen,$(1)-snr$(2),$(O)$(1)-snr$(2).h5,$(1),$(row))))
endef
$(foreach t,$(CLASS_TASKS),$(foreach s,$(SNRS),$(eval $(call noisy,$(t),$(s)))))

# $(1) task, $(2) further options of compare, $(3) name of the figure, $(4) points ROW@NUMBER=FILE
define curves
@echo; echo "$(3): $(1) (F1 macro of $(RUNS) runs); drawn in $(O)$(3)-$(1).png"
@avaffect compare -q --score f1_macro $(4) $(2) --plot $(O)$(3)-$(1).png

endef

figure7: $(foreach t,$(CLASS_TASKS),$(foreach row,$(FIGURE7),$(foreach s,$(SNRS),$(O)$(t)-snr$(s)-$(row).json)))
	$(foreach t,$(CLASS_TASKS),$(call curves,$(t),--axis "signal-to-noise ratio (dB)",figure7,\
		$(foreach row,$(FIGURE7),$(foreach s,$(SNRS),$(row)@$(s)=$(O)$(t)-snr$(s)-$(row).json))))

# -- figure 8: a share of the pool -----------------------------------------------------------------

FIGURE8 ?= odd l1 l1odd
define share
$(foreach row,$(FIGURE8),$(eval $(call pretraining,$(row),$(row)-$(1),--fraction $(1))))
$(foreach t,$(CLASS_TASKS),$(foreach row,$(FIGURE8),\
	$(eval $(call frozen,$(t),$(call store,$(t)),$(t),$(row)-$(1)))))
endef

figure8: $(foreach t,$(CLASS_TASKS),$(foreach row,$(FIGURE8),$(O)$(t)-$(row).json $(foreach s,$(SHARES),$(O)$(t)-$(row)-$(s).json)))
	$(foreach t,$(CLASS_TASKS),$(call curves,$(t),--axis "share of the pool",figure8,\
		$(foreach row,$(FIGURE8),$(foreach s,$(SHARES),$(row)@$(s)=$(O)$(t)-$(row)-$(s).json) $(row)@1=$(O)$(t)-$(row).json)))

# -- pre-training ----------------------------------------------------------------------------------

COMMAND_l1odd := pretrain-l1

# $(1) pre-training, $(2) name of the encoder, $(3) further options
define pretraining
$(O)$(2).safetensors: $(POOL)
	avaffect $(or $(COMMAND_$(1)),pretrain-$(1)) $(POOL) $(TRAIN) $(OPTIONS_$(1)) $(3) -o $$@
endef
$(foreach row,$(filter-out %random,$(ENCODERS)),$(eval $(call pretraining,$(row),$(row))))
$(foreach s,$(SHARES),$(eval $(call share,$(s))))

$(O)random.safetensors: WAY := apc
$(O)cpc-random.safetensors: WAY := cpc
$(O)pase-random.safetensors: WAY := pase
$(O)random.safetensors $(O)cpc-random.safetensors $(O)pase-random.safetensors: $(POOL)
	avaffect pretrain-$(WAY) $(POOL) --preset $(PRESET) --steps 0 -o $@

# -- synthetic recordings --------------------------------------------------------------------------

# The pool has many people, so that L1 can render unseen faces, in one studio (domain A): under changing
# light and cameras the appearance of a face dominates the loss, not two seconds of its motion.
CLIPS ?= 640
PEOPLE ?= 160

$(O)pool-all.jsonl: SYNTH := --domain A --utterances $(CLIPS) --speakers $(PEOPLE) --shortest 2.0 --longest 2.8
$(O)U-all.jsonl: SYNTH := --domain U --utterances 128 --speakers 16 --shortest 1.2 --longest 1.6
$(O)pool-all.jsonl $(O)U-all.jsonl: $(O)%-all.jsonl:
	avaffect synth $(O)$* $(SYNTH) -o $@

# Some speakers of the pool are for development, to score the pre-training on unseen people.
$(O)pool.jsonl: RATIOS := 85 15 0
$(O)U.jsonl: RATIOS := 50 20 30
$(O)pool.jsonl $(O)U.jsonl: $(O)%.jsonl: $(O)%-all.jsonl
	avaffect split $< --by speaker --ratios $(RATIOS) -o $@

$(O)pool.h5 $(O)U.h5: $(O)%.h5: $(O)%.jsonl
	avaffect preprocess $< --size 64 -o $@
