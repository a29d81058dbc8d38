# Tables I to IV of SS-VAERR (Jegorova, Petridis and Pantic 2023): emotional reactions from video alone.
#
#   make -f examples/ssvaerr.mk                        table 2 on synthetic talking faces, in half an hour on one core
#   make -f examples/ssvaerr.mk -j 2 table1 table3 table4
#
# On your own recordings: stores made by `preprocess` with faces, splits, and traces of arousal and valence.
#
#   make -f examples/ssvaerr.mk POOL=lrs3.h5 DATA=stores TASKS="sewa recola" PAPER=1 \
#       SEGMENT_recola="--crop-seconds 20" OPTIONS_sewa="--delay 0"
#
# A task is a store $(DATA)/TASK.h5; OPTIONS_TASK are further options of finetune (labels, delay),
# SPLIT_TASK is the split that is scored (default: test), SCORE_TASK the score (ccc: of each label over the
# concatenated recordings, the default; ccc_mean: the mean over recordings). The published test splits of
# SEWA and RECOLA have no labels: there the development split is scored, which also selects the best epoch.
# Every pretext task trains the same 3-D convolution and ResNet-18 on the pool. A GRU is then trained on the
# encoder in three ways: with the encoder frozen (`frozen`), with its first convolution frozen (`stem`, the
# paper's "frozen"), or with nothing frozen (`tuned`). The pretext `random` is the encoder at random
# initialisation: random-tuned is training from scratch, and gains are differences to random in the same way.

OUT ?= ssvaerr
O := $(OUT)/
comma := ,

ifdef PAPER
RUNS ?= 3
PRESET ?= base
TRAIN ?= --preset $(PRESET)
HEAD ?= --head bgru --epochs 10 --batch-utterances 8 --weight-decay 1e-4
RATE ?= 1e-4
else
# Small encoders on minutes of video need higher rates.
RUNS ?= 3
PRESET ?= nano
TRAIN ?= --preset $(PRESET) --epochs 30 --learning-rate 1e-3 --batch-utterances 16
# On so little data, batch norm in the head keeps DINO from collapse.
OPTIONS_dino ?= --head-norm
HEAD ?= --head bgru --hidden 32 --epochs 16 --batch-utterances 8 --weight-decay 1e-4
RATE ?= 2e-3
endif
# Crops of 200 pictures in training.
SEGMENT ?= --crop-seconds 8

POOL ?= $(O)pool.h5
DATA ?= $(OUT)
TASKS ?= affect
STORE_affect ?= $(O)acted.h5
SPLIT_sewa ?= development
SPLIT_recola ?= development
SCORE_recola ?= ccc_mean
PRETEXTS ?= random lira byol dino
WAYS ?= frozen stem tuned
LABELS := --label arousal --label valence
# The best of the paper's table III, for tables I and IV.
COMPOSITE ?= --loss ccc=0.5,ce=0.25,mse=0.25
COMPOSITE_recola ?= --loss valence:ccc=1 --loss arousal:ccc=0.66,ce=0.34

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: table1 table2 table3 table4
.DEFAULT_GOAL := table2
$(shell mkdir -p $(OUT))

store = $(or $(STORE_$(1)),$(DATA)/$(1).h5)
composite = $(or $(COMPOSITE_$(1)),$(COMPOSITE))
WAY_frozen := --mode frozen
WAY_stem := --freeze stem --learning-rate $(RATE)
WAY_tuned := --learning-rate $(RATE)

# $(1) task, $(2) name of the row, $(3) pretext, $(4) way, $(5) further options of finetune
define row
$(O)$(1)-$(2).safetensors: $(call store,$(1)) $(O)$(3).safetensors
	avaffect finetune $(call store,$(1)) --encoder $(O)$(3).safetensors $(WAY_$(4)) $(LABELS) \
		$(HEAD) --head-learning-rate $(RATE) \
		$(or $(SEGMENT_$(1)),$(SEGMENT)) $(OPTIONS_$(1)) --runs $(RUNS) $(5) -o $$@
$(O)$(1)-$(2).h5: $(O)$(1)-$(2).safetensors
	avaffect predict $(call store,$(1)) --model $$< --split $(or $(SPLIT_$(1)),test) -o $$@
$(O)$(1)-$(2).json: $(O)$(1)-$(2).h5
	avaffect eval-ccc $$< --gold $(call store,$(1)) -o $$@
endef

# $(1) title, $(2) names of rows
define table
$(foreach t,$(TASKS),@echo; echo "$(1): $(t) (CCC of $(RUNS) runs, $(or $(SPLIT_$(t)),test))"
@avaffect compare -q $(addprefix --score ,$(SCORE_$(t))) $(foreach r,$(2),$(r)=$(O)$(t)-$(r).json)
)
endef

# -- table 2: pretexts -----------------------------------------------------------------------------

TABLE2 := $(foreach w,$(WAYS),$(foreach p,$(PRETEXTS),$(p)-$(w)))
$(foreach t,$(TASKS),$(foreach p,$(PRETEXTS),$(foreach w,$(WAYS),\
	$(eval $(call row,$(t),$(p)-$(w),$(p),$(w))))))

table2: $(foreach t,$(TASKS),$(TABLE2:%=$(O)$(t)-%.json))
	$(foreach w,$(WAYS),$(call table,Table II$(comma) $(w),$(PRETEXTS:%=%-$(w))))

# -- table 3: losses, on LiRA ----------------------------------------------------------------------

LOSSES := ccc mse ccc+ce ccc+ce+mse arousal-ce arousal-ce+mse ccc+ncce ccc+ncce+mse
LOSS_ccc := --loss ccc=1
LOSS_mse := --loss mse=1
LOSS_ccc+ce := --loss ccc=0.5,ce=0.5
LOSS_ccc+ce+mse := --loss ccc=0.5,ce=0.25,mse=0.25
LOSS_arousal-ce := --loss valence:ccc=1 --loss arousal:ccc=0.66,ce=0.34
LOSS_arousal-ce+mse := --loss valence:ccc=1 --loss arousal:ccc=0.66,ce=0.17,mse=0.17
LOSS_ccc+ncce := --loss ccc=0.5,ncce=0.5
LOSS_ccc+ncce+mse := --loss ccc=0.5,ncce=0.25,mse=0.25
LOSS_WAYS ?= tuned stem

$(foreach t,$(TASKS),$(foreach w,$(LOSS_WAYS),$(foreach l,$(LOSSES),\
	$(eval $(call row,$(t),$(l)-$(w),lira,$(w),$(LOSS_$(l)))))))

table3: $(foreach t,$(TASKS),$(foreach w,$(LOSS_WAYS),$(LOSSES:%=$(O)$(t)-%-$(w).json)))
	$(foreach w,$(LOSS_WAYS),$(call table,Table III$(comma) $(w),$(LOSSES:%=%-$(w))))

# -- table 4: augmentations, on LiRA with the composite loss ---------------------------------------

AUGMENTATIONS := flip crop crop-out missing solarise salt-pepper crop+flip crop+missing flip+missing \
	flip+solarise flip+crop-out flip+salt-pepper

$(foreach t,$(TASKS),$(eval $(call row,$(t),plain,lira,tuned,$(call composite,$(t))))\
	$(foreach a,$(AUGMENTATIONS),\
	$(eval $(call row,$(t),$(a),lira,tuned,$(call composite,$(t)) --augment $(a)))))

table4: $(foreach t,$(TASKS),$(foreach a,plain $(AUGMENTATIONS),$(O)$(t)-$(a).json))
	$(call table,Table IV,plain $(AUGMENTATIONS))

# -- table 1: from scratch, LiRA, LiRA with the best loss and augmentations of tables 3 and 4 ------

TABLE1 := random-tuned lira-tuned plain flip flip+salt-pepper
table1: $(foreach t,$(TASKS),$(TABLE1:%=$(O)$(t)-%.json))
	$(call table,Table I,$(TABLE1))

# -- pre-training ----------------------------------------------------------------------------------

define pretraining
$(O)$(1).safetensors: $(POOL)
	avaffect pretrain-$(1) $(POOL) $(TRAIN) $(OPTIONS_$(1)) -o $$@
endef
$(foreach p,$(filter-out random,$(PRETEXTS)),$(eval $(call pretraining,$(p))))

$(O)random.safetensors: $(POOL)
	avaffect pretrain-byol $(POOL) --preset $(PRESET) --steps 0 -o $@

# -- synthetic recordings --------------------------------------------------------------------------

# Many people: with few, the encoder learns to recognise the person rather than the expression.
CLIPS ?= 320
LENGTHS := --shortest 1.2 --longest 1.8

$(O)pool.jsonl:
	avaffect synth $(O)pool --domain B --utterances $(CLIPS) --speakers 80 $(LENGTHS) -o $@

# The labelled utterances are acted (domain A): so few natural ones, with weak expressions, teach little.
$(O)acted-all.jsonl:
	avaffect synth $(O)acted --domain A --utterances 240 --speakers 60 $(LENGTHS) -o $@

$(O)acted.jsonl: $(O)acted-all.jsonl
	avaffect split $< --by speaker --ratios 50 20 30 -o $@

$(O)pool.h5 $(O)acted.h5: $(O)%.h5: $(O)%.jsonl
	avaffect preprocess $< --size 48 -o $@
