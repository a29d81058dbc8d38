# Tables 5 and 6 of SAAML (Tran et al.): continuous arousal and valence from any encoder, before and after adaptation.
#
#   make -f examples/continuous.mk               the encoders of `make demo` on its third corpus, after `make demo`
#
# On your own recordings: stores with faces, sound, and traces of arousal and valence, made by `preprocess` from the
# manifests of `manifest recola` and `manifest semaine`.
#
#   make -f examples/continuous.mk PAPER=1 TASKS="recola semaine" DATA=stores OPTIONS_recola="--delay 2.8" \
#       MANIFEST_semaine=semaine.jsonl ENCODERS="fav aw" ENCODER_fav=fav-hubert.safetensors ENCODER_aw=aw-hubert.safetensors
#
# A task is a store $(DATA)/TASK.h5 (STORE_TASK: another path). Of a store with splits SPLIT_TASK is scored (RECOLA's
# development split: its test split has no labels); a store without is tested in FOLDS_TASK folds of the speakers
# in its manifest, MANIFEST_TASK. OPTIONS_TASK are further options of finetune. As in the paper, a linear layer reads every
# frame of the encoder, 1 - CCC is the loss, training sees 200 pictures (8 s) at a time, and predictions of windows
# that overlap by half are averaged. `compare` tests each encoder against BASELINE.

OUT ?= continuous
O := $(OUT)/

ifdef PAPER
RUNS ?= 3
HEAD ?= --epochs 5 --batch-utterances 64 --learning-rate 1e-5 --head-learning-rate 1e-3
else
# Small encoders on minutes of video need higher rates, and short crops of many people make the steps cheap.
RUNS ?= 3
HEAD ?= --epochs 10 --batch-utterances 32 --learning-rate 5e-4 --head-learning-rate 2e-3
CROP ?= 0.64
endif
WINDOW ?= 8
CROP ?= $(WINDOW)

DATA ?= $(OUT)
DEMO ?= demo
TASKS ?= affect
STORE_affect ?= $(DEMO)/U.h5
MANIFEST_affect ?= $(DEMO)/U.jsonl
FOLDS_affect ?= 4
FOLDS_semaine ?= 5
SPLIT_recola ?= development
ENCODERS ?= random pretrained adapted
ENCODER_random ?= $(DEMO)/random-0.safetensors
ENCODER_pretrained ?= $(DEMO)/pretrained.safetensors
ENCODER_adapted ?= $(DEMO)/adapted-0.safetensors
BASELINE ?= $(if $(filter pretrained,$(ENCODERS)),pretrained,$(firstword $(ENCODERS)))
LABELS := --label arousal --label valence

SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: tables
.DEFAULT_GOAL := tables
$(shell mkdir -p $(OUT))

store = $(or $(STORE_$(1)),$(DATA)/$(1).h5)
folds = $(if $(FOLDS_$(1)),$(O)$(1)-folds.jsonl)
divided = $(if $(FOLDS_$(1)),--annotations $(call folds,$(1)))
split = $(if $(FOLDS_$(1)),$(call divided,$(1)),--split $(or $(SPLIT_$(1)),test))

define division
$(O)$(1)-folds.jsonl: $(or $(MANIFEST_$(1)),$(DATA)/$(1).jsonl)
	avaffect split $$< --by speaker --folds $(FOLDS_$(1)) -o $$@
endef
$(foreach t,$(TASKS),$(if $(FOLDS_$(t)),$(eval $(call division,$(t)))))

# $(1) task, $(2) encoder
define row
$(O)$(1)-$(2).safetensors $(O)$(1)-$(2)-last.safetensors &: $(call store,$(1)) $(ENCODER_$(2)) $(call folds,$(1))
	avaffect finetune $(call store,$(1)) --encoder $(ENCODER_$(2)) $(LABELS) $(HEAD) $(call divided,$(1)) \
		--crop-seconds $(CROP) --window $(WINDOW) $(OPTIONS_$(1)) --runs $(RUNS) -o $(O)$(1)-$(2).safetensors \
		--last $(O)$(1)-$(2)-last.safetensors
$(O)$(1)-$(2).h5 $(O)$(1)-$(2)-last.h5: %.h5: %.safetensors
	avaffect predict $(call store,$(1)) --model $$< $(call split,$(1)) -o $$@
$(O)$(1)-$(2).json $(O)$(1)-$(2)-last.json: %.json: %.h5
	avaffect eval-ccc $$< --gold $(call store,$(1)) -o $$@
endef
$(foreach t,$(TASKS),$(foreach e,$(ENCODERS),$(eval $(call row,$(t),$(e)))))

# Of the epoch that is best on development, and of the last.
EPOCHS := best last
# $(1) task, $(2) epoch, $(3) before the path of each
reports = $(foreach e,$(ENCODERS),$(3:%=$(e)=)$(O)$(1)-$(e)$(if $(filter last,$(2)),-last).json)
define table
	@echo; echo "Tables 5 and 6: $(1), $(2) epoch (CCC of $(RUNS) runs)"
	@avaffect compare -q --score ccc --baseline $(BASELINE) $(call reports,$(1),$(2),name)

endef
tables: $(foreach t,$(TASKS),$(foreach k,$(EPOCHS),$(call reports,$(t),$(k))))
	$(foreach t,$(TASKS),$(foreach k,$(EPOCHS),$(call table,$(t),$(k))))
