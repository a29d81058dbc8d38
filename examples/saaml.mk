# Tables 2 and 7 to 10 and figure 4 of SAAML (Tran et al. 2023) on synthetic talking faces: what adaptation gains over the
# pre-trained encoder, over further pre-training on the small corpus alone, and without each of its losses.
#
#   make -f examples/saaml.mk -j 2 table2              tables 2 and 7, of sound, faces and both
#   make -f examples/saaml.mk -j 2 table10             the same of an encoder that only hears
#   make -f examples/saaml.mk -j 2 table8 table9       losses of the projector, weights of its cross-entropy
#   make -f examples/saaml.mk -j 2 figure4             embeddings before and after adaptation (needs matplotlib)
#
# Corpora, settings and rules are those of demo.mk, with other people (CORPORA) and more seeds; read it first. In
# the paper an encoder is adapted with one corpus and tested on another: A and U. For each seed:
#
#   random       the encoder at random initialisation        adapted           SAAML (Eq. 7)
#   pretrained   as it is before adaptation                   no-dc no-pt no-ec   without one of its losses
#   tapt, ctapt  further pre-training on U, on A              fixmatch, cdac    other losses of retrieved utterances
#
# A support vector machine is trained on each frozen encoder, in folds of U's speakers that the seed draws. `compare`
# tests each row against `adapted` (two-tailed, paired by seed). On real speech with published weights: real.mk. Tables 5
# and 6: continuous.mk.

OUT ?= saaml
DEMO := $(OUT)
CORPORA ?= 303
SEEDS ?= 0 1 2 3 4
MODALITIES ?= av audio video
TABLE2 := random pretrained tapt ctapt adapted no-dc no-pt no-ec
TABLE7 := adapted fixmatch cdac
SELF := $(lastword $(MAKEFILE_LIST))

include $(dir $(SELF))demo.mk

.PHONY: table2 table7 table10 retrieved
.DEFAULT_GOAL := table2

# -- encoders --------------------------------------------------------------------------------------

ADAPT := $(SHORTER) --steps 250 --domain-weight 0.1 --pretraining-weight 0.1
OPTIONS_no-dc := --without dc
OPTIONS_no-pt := --without pt
OPTIONS_no-ec := --without ec
OPTIONS_fixmatch := --method fixmatch
# In 250 steps the weight of the consistency loss has to rise sooner.
OPTIONS_cdac := --method cdac --consistency-ramp 100

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

$(Q)U-folds-%.jsonl: $(Q)U.jsonl
	avaffect split $< --by speaker --folds 8 --seed $* -o $@

# $(1) modality, $(2) row, $(3) seed
define score
$(Q)$(1)-$(2)-$(3)-svm.safetensors: $(Q)$(if $(filter pretrained,$(2)),$(2),$(2)-$(3)).safetensors $(Q)U.h5 $(Q)U-folds-$(3).jsonl
	avaffect finetune $(Q)U.h5 --encoder $$< --modality $(1) --mode frozen --head svm --head-option kernel=linear \
		--annotations $(Q)U-folds-$(3).jsonl --seed $(3) -o $$@
$(Q)$(1)-$(2)-$(3)-svm.jsonl: $(Q)$(1)-$(2)-$(3)-svm.safetensors
	avaffect predict $(Q)U.h5 --model $$< --annotations $(Q)U-folds-$(3).jsonl -o $$@
endef
$(foreach m,$(MODALITIES),$(foreach r,$(TABLE2) fixmatch cdac,$(foreach n,$(SEEDS),\
	$(eval $(call score,$(m),$(r),$(n))))))

# $(1) rows, $(2) modality, $(3) before the path of each
paths = $(foreach r,$(1),$(foreach n,$(SEEDS),$(3:%=$(r)=)$(Q)$(2)-$(r)-$(n)-svm.jsonl))
# $(1) title, $(2) rows, $(3) modality
define compared
@echo; echo "$(1): U, $(3) ($(words $(SEEDS)) seeds)"
@avaffect compare -q --score ua --score accuracy --baseline adapted $(call paths,$(2),$(3),name)

endef

# How much of what is retrieved has its query's emotion, and how spread out the draws are.
retrieved: $(SEEDS:%=$(Q)retrieval-%.jsonl)
	@echo; echo "Share of retrieved utterances with their query's emotion (drawn at random: 0.25)"
	@avaffect eval-class -q $^ --gold $(Q)B.h5 --label hidden_emotion

table2: retrieved $(foreach m,$(MODALITIES),$(call paths,$(TABLE2),$(m))) table7
	$(foreach m,$(MODALITIES),$(call compared,Table 2,$(TABLE2),$(m)))

table7: $(foreach m,$(MODALITIES),$(call paths,$(TABLE7),$(m)))
	$(foreach m,$(MODALITIES),$(call compared,Table 7,$(TABLE7),$(m)))

# -- figure 4: embeddings of U, for the first seed -------------------------------------------------

FIGURE4 := $(foreach e,random-$(FIRST) pretrained adapted-$(FIRST),$(Q)U-$(e)-mean.h5)
$(FIGURE4): $(Q)U-%-mean.h5: $(Q)%.safetensors $(Q)U.h5
	avaffect extract $(Q)U.h5 --model $< --pooled-only -o $@

.PHONY: figure4
figure4: $(FIGURE4)
	@echo; echo "Figure 4: Davies-Bouldin index, lower is more apart; t-SNE in $(Q)figure4.png"
	@avaffect eval-embeddings -q -f $^ --by emotion --by speaker --plot $(Q)figure4.png

# -- table 10: an encoder that only hears ----------------------------------------------------------

HEARS := --crop-seconds 0.32 --batch-utterances 64 --learning-rate 1e-3
table10:
	@$(MAKE) --no-print-directory -f $(SELF) table2 OUT=$(OUT)/audio MODALITIES=audio \
		SHORT="$(HEARS)" SHORTER="$(HEARS)" PRETRAIN="avaffect pretrain-hubert $(OUT)/audio/A.h5 $(OUT)/audio/B.h5 \
		--units $(OUT)/audio/A-units.h5 --units $(OUT)/audio/B-units.h5 --modality audio --preset nano"

# -- tables 8 and 9: losses of the projector, on the frozen encoder --------------------------------

# Scored by held-out speakers of A, other ones for each seed.
LOSSES ?= multi-similarity triplet angular circle large-margin-softmax sphereface cross-entropy
CROSS_ENTROPY ?= 0 0.25 0.5 0.75 1

# $(1) seed, $(2) loss, $(3) weight of the cross-entropy
frozen = $(Q)frozen-$(2)-$(3)-$(1).safetensors
define projector
$(call frozen,$(1),$(2),$(3)): $(Q)pretrained.safetensors $(Q)A.h5 $(Q)A-division-$(1).jsonl
	avaffect train-projector $(Q)A.h5 --annotations $(Q)A-division-$(1).jsonl --encoder $$< --label emotion \
		--loss $(2) $(if $(filter cross-entropy,$(2)),,--cross-entropy $(3)) --seed $(1) -o $$@
endef
define division
$(Q)A-division-$(1).jsonl: $(Q)A.jsonl
	avaffect split $$< --by speaker --ratios 70 20 10 --seed $(1) -o $$@
endef
$(foreach n,$(SEEDS),$(eval $(call division,$(n)))\
	$(foreach l,$(LOSSES),$(eval $(call projector,$(n),$(l),0.5)))\
	$(foreach w,$(filter-out 0.5,$(CROSS_ENTROPY)),$(eval $(call projector,$(n),multi-similarity,$(w)))))

# $(1) losses or weights, $(2) whether a name stands before the path of each
by_loss = $(foreach l,$(1),$(foreach n,$(SEEDS),$(2:%=$(l)=)$(call frozen,$(n),$(l),0.5)))
by_weight = $(foreach w,$(1),$(foreach n,$(SEEDS),$(2:%=$(w)=)$(call frozen,$(n),multi-similarity,$(w))))

.PHONY: table8 table9
table8: $(call by_loss,$(LOSSES))
	@echo; echo "Table 8: losses of the projector, held-out speakers of A ($(words $(SEEDS)) seeds)"
	@avaffect compare -q --score accuracy --score nearest_neighbour --score davies_bouldin \
		$(call by_loss,$(LOSSES),name)

# Without cross-entropy the projector classifies nothing: its row has no accuracy.
table9: $(call by_weight,$(CROSS_ENTROPY))
	@echo; echo "Table 9: weight of the cross-entropy, held-out speakers of A ($(words $(SEEDS)) seeds)"
	@avaffect compare -q --score nearest_neighbour --score davies_bouldin $(call by_weight,$(CROSS_ENTROPY),name)
	@avaffect compare -q --score accuracy $(call by_weight,$(filter-out 0,$(CROSS_ENTROPY)),name)
