# Tables 1 to 10 and figure 4 of SAAML (Tran et al. 2023): what adaptation gains over the pre-trained encoder, over further
# pre-training on the small corpus alone, and without each of its losses.
#
#   make -f examples/saaml.mk -j 2 table2 table7       adapted encoders, from sound, faces and both
#   make -f examples/saaml.mk -j 2 table1 table10      an encoder that only hears, beside that of both, and adapted
#   make -f examples/saaml.mk -j 2 table3 table4       expression in the wild (expression.mk), highlights (highlight.mk)
#   make -f examples/saaml.mk -j 2 table5              arousal and valence over time (continuous.mk); table6 is the same
#   make -f examples/saaml.mk -j 2 table8 table9       losses of the projector, weights of its cross-entropy
#   make -f examples/saaml.mk -j 2 figure4             embeddings before and after adaptation (needs matplotlib)
#
# Without corpora of your own, on synthetic talking faces: corpora, settings and rules are those of demo.mk, with other
# people (CORPORA) and more seeds; read it first. In the paper an encoder is adapted with one corpus and tested on another,
# A and U, and a pool, B: manifests, such as
#
#   A=msp-improv.jsonl U=crema-d.jsonl B=voxceleb2.jsonl PICTURES= PRESET=base SPLIT="--by speaker --ratios 70 10 20"
#
# For each seed:
#
#   random       the encoder at random initialisation        adapted           SAAML (Eq. 7)
#   pretrained   as it is before adaptation                   no-dc no-pt no-ec   without one of its losses
#   tapt, ctapt  further pre-training on U, on A              fixmatch, cdac    other losses of retrieved utterances
#
# A support vector machine is trained on each frozen encoder, in folds of U's speakers that the seed draws; with
# TUNE="--epochs 5" the encoders are fine-tuned, as in the paper, and the tables are of the epoch that is best on
# development and of the last. `compare` tests each row against `adapted` (two-tailed, paired by seed). On real speech with
# published weights: real.mk.

OUT ?= saaml
DEMO := $(OUT)
CORPORA ?= 303
SEEDS ?= 0 1 2 3 4
MODALITIES ?= av audio video
TABLE2 := random pretrained tapt ctapt adapted no-dc no-pt no-ec
TABLE7 := adapted fixmatch cdac
SPLIT ?= --by speaker --folds 8
TUNE ?=
SELF := $(lastword $(MAKEFILE_LIST))

include $(dir $(SELF))demo.mk

.PHONY: table1 table2 table3 table4 table5 table6 table7 table10 retrieved
.DEFAULT_GOAL := table2

# -- encoders --------------------------------------------------------------------------------------

ADAPT := $(SHORTER) --steps 250
WEIGHTS := --domain-weight 0.1 --pretraining-weight 0.1
OPTIONS_no-dc := --without dc --pretraining-weight 0.1
OPTIONS_no-pt := --without pt --domain-weight 0.1
OPTIONS_no-ec := --without ec $(WEIGHTS)
OPTIONS_fixmatch := --method fixmatch $(WEIGHTS)
# In 250 steps the weight of the consistency loss has to rise sooner.
OPTIONS_cdac := --method cdac --consistency-ramp 100 $(WEIGHTS)

define variant
$(Q)$(1)-%.safetensors: $(Q)retrieval-%.jsonl
	avaffect adapt $$< $(ADAPT) $(OPTIONS_$(1)) --seed $$* -o $$@
endef
$(foreach v,no-dc no-pt no-ec fixmatch cdac,$(eval $(call variant,$(v))))

# The manifests of `retrieve` name the queries; tapt reads nothing of the pool.
TAPT := avaffect adapt --method tapt $(SHORTER) --steps 250
$(Q)ctapt-%.safetensors: $(Q)retrieval-%.jsonl
	$(TAPT) $< --seed $* -o $@

$(Q)tapt-%.safetensors: $(Q)own-%.jsonl
	$(TAPT) $< --seed $* -o $@

$(Q)U-embeddings.h5: $(Q)projector.safetensors
	avaffect extract $(Q)U.h5 --model $< -o $@

$(Q)own-%.jsonl: $(Q)U-embeddings.h5 $(Q)B-embeddings.h5
	avaffect retrieve --query $(Q)U-embeddings.h5 --pool $(Q)B-embeddings.h5 -T 0.005 --draws 1 --seed $* -o $@

# -- scores ----------------------------------------------------------------------------------------

$(Q)U-folds-%.jsonl: $(call manifest,U)
	avaffect split $< $(SPLIT) --seed $* -o $@

# A fitted classifier has no epochs.
KIND := $(if $(TUNE),tuned,svm)
EPOCHS := $(if $(TUNE),best last,best)
CLASSIFIED := $(or $(TUNE),--mode frozen --head svm --head-option kernel=linear)
TESTED := $(if $(findstring --ratios,$(SPLIT)),--split test)

# $(1) modality, $(2) row, $(3) seed
define classifier
$(Q)$(1)-$(2)-$(3)-$(KIND)-best.safetensors: $(Q)$(if $(filter pretrained,$(2)),$(2),$(2)-$(3)).safetensors $(Q)U.h5 $(Q)U-folds-$(3).jsonl
	avaffect finetune $(Q)U.h5 --encoder $$< --modality $(1) $(CLASSIFIED) --annotations $(Q)U-folds-$(3).jsonl \
		--label emotion --seed $(3) -o $$@ $(if $(TUNE),--last $(Q)$(1)-$(2)-$(3)-$(KIND)-last.safetensors)
$(if $(TUNE),$(Q)$(1)-$(2)-$(3)-$(KIND)-last.safetensors: $(Q)$(1)-$(2)-$(3)-$(KIND)-best.safetensors ;)
endef
# $(4) epoch
define prediction
$(Q)$(1)-$(2)-$(3)-$(KIND)-$(4).jsonl: $(Q)$(1)-$(2)-$(3)-$(KIND)-$(4).safetensors
	avaffect predict $(Q)U.h5 --model $$< --annotations $(Q)U-folds-$(3).jsonl $(TESTED) -o $$@
endef
$(foreach m,$(MODALITIES),$(foreach r,$(TABLE2) fixmatch cdac,$(foreach n,$(SEEDS),\
	$(eval $(call classifier,$(m),$(r),$(n)))\
	$(foreach k,$(EPOCHS),$(eval $(call prediction,$(m),$(r),$(n),$(k)))))))

# $(1) rows, $(2) modality, $(3) epoch, $(4) before the path of each
of_epoch = $(foreach r,$(1),$(foreach n,$(SEEDS),$(4:%=$(r)=)$(Q)$(2)-$(r)-$(n)-$(KIND)-$(3).jsonl))
paths = $(foreach k,$(EPOCHS),$(call of_epoch,$(1),$(2),$(k)))
# $(1) title, $(2) rows, $(3) modality, $(4) epoch
define compared
@echo; echo "$(1): U, $(3)$(if $(TUNE),$(comma) $(4) epoch) ($(words $(SEEDS)) seeds)"
@avaffect compare -q --score ua --score accuracy --baseline adapted $(call of_epoch,$(2),$(3),$(4),name)

endef
comma := ,
tables = $(foreach m,$(MODALITIES),$(foreach k,$(EPOCHS),$(call compared,$(1),$(2),$(m),$(k))))

# How much of what is retrieved has its query's emotion, and how spread out the draws are.
retrieved: $(SEEDS:%=$(Q)retrieval-%.jsonl)
	@echo; echo "Retrieval$(if $(GOLD),: share of utterances with their query's emotion)"
	@avaffect eval-class -q $^ $(if $(GOLD),--gold $(Q)B.h5 --label $(GOLD))

table2: retrieved $(foreach m,$(MODALITIES),$(call paths,$(TABLE2),$(m)))
	$(call tables,Table 2,$(TABLE2))

table7: $(foreach m,$(MODALITIES),$(call paths,$(TABLE7),$(m)))
	$(call tables,Table 7,$(TABLE7))

# -- figure 4: embeddings of U, for the first seed -------------------------------------------------

FIGURE4 := $(foreach e,random-$(FIRST) pretrained adapted-$(FIRST),$(Q)U-$(e)-mean.h5)
$(FIGURE4): $(Q)U-%-mean.h5: $(Q)%.safetensors $(Q)U.h5
	avaffect extract $(Q)U.h5 --model $< --pooled-only -o $@

.PHONY: figure4
figure4: $(FIGURE4)
	@echo; echo "Figure 4: Davies-Bouldin index, lower is more apart; t-SNE in $(Q)figure4.png"
	@avaffect eval-embeddings -q -f $^ --by emotion --by speaker --plot $(Q)figure4.png

# -- tables 1 and 10: an encoder that only hears ----------------------------------------------------

HEARS := --crop-seconds 0.32 --batch-utterances 64 --learning-rate 1e-3
HEARING = $(MAKE) --no-print-directory -f $(SELF) OUT=$(OUT)/audio MODALITIES=audio SHORT="$(HEARS)" SHORTER="$(HEARS)" \
	PRETRAIN="avaffect pretrain-hubert $(OUT)/audio/A.h5 $(OUT)/audio/B.h5 --units $(OUT)/audio/A-units.h5 \
	--units $(OUT)/audio/B-units.h5 --modality audio --preset $(PRESET)"

.PHONY: hearing
table10:
	@echo; echo "Table 10: an encoder of sound"
	+@$(HEARING) table2

# Rows of table 1, of both encoders.
TABLE1 := random pretrained
hearing: $(call paths,$(TABLE1),audio)
table1: $(call paths,$(TABLE1),av)
	+@$(HEARING) hearing
	$(foreach k,$(EPOCHS),$(call first_table,$(k)))
# $(1) epoch
define first_table
@echo; echo "Table 1: pre-trained encoders on U$(if $(TUNE),$(comma) $(1) epoch) ($(words $(SEEDS)) seeds)"
@avaffect compare -q --score accuracy --score ua --baseline av-pretrained $(foreach r,$(TABLE1),$(foreach n,$(SEEDS),\
	audio-$(r)=$(OUT)/audio/audio-$(r)-$(n)-$(KIND)-$(1).jsonl av-$(r)=$(Q)av-$(r)-$(n)-$(KIND)-$(1).jsonl))

endef

# -- tables 3 to 6, of other tasks: Makefiles of their own ----------------------------------------

OTHER = $(MAKE) --no-print-directory -f $(dir $(SELF))
table3:
	+@$(OTHER)expression.mk OUT=$(OUT)/expression
table4:
	+@$(OTHER)highlight.mk OUT=$(OUT)/highlight
table5 table6: $(foreach e,random-$(FIRST) pretrained adapted-$(FIRST),$(Q)$(e).safetensors) $(Q)U.h5
	+@$(OTHER)continuous.mk DEMO=$(OUT) OUT=$(OUT)/continuous

# -- tables 8 and 9 -------------------------------------------------------------------------------

L := $(Q)
FROZEN := $(Q)pretrained.safetensors
LABELLED := $(Q)A.h5
LABELLED_BY := $(call manifest,A)
LABEL := --label emotion
include $(dir $(SELF))projector-losses.mk
