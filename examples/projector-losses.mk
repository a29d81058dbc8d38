# Tables 8 and 9 of SAAML: losses of the embedding projector, and weights of its cross-entropy, on a frozen encoder.
# Included by saaml.mk and real.mk, which set
#
#   L          folder and a slash             FROZEN     encoder
#   LABELLED   store      LABELLED_BY   its manifest      LABEL   options of the label
#
# Scored by held-out speakers, other ones for each seed.

LOSSES ?= multi-similarity triplet angular circle large-margin-softmax sphereface cross-entropy none
CROSS_ENTROPY ?= 0 0.25 0.5 0.75 1

# $(1) seed, $(2) loss, $(3) weight of the cross-entropy
frozen = $(L)frozen-$(2)-$(3)-$(1).safetensors
define projector
$(call frozen,$(1),$(2),$(3)): $(FROZEN) $(LABELLED) $(L)frozen-division-$(1).jsonl
	avaffect train-projector $(LABELLED) --annotations $(L)frozen-division-$(1).jsonl --encoder $$< $(LABEL) \
		--loss $(2) $(if $(filter cross-entropy none,$(2)),,--cross-entropy $(3)) --seed $(1) -o $$@
endef
$(L)frozen-division-%.jsonl: $(LABELLED_BY)
	avaffect split $< --by speaker --ratios 70 20 10 --seed $* -o $@
$(foreach n,$(SEEDS),\
	$(foreach l,$(LOSSES),$(eval $(call projector,$(n),$(l),0.5)))\
	$(foreach w,$(filter-out 0.5,$(CROSS_ENTROPY)),$(eval $(call projector,$(n),multi-similarity,$(w)))))

# $(1) losses or weights, $(2) whether a name stands before the path of each
by_loss = $(foreach l,$(1),$(foreach n,$(SEEDS),$(2:%=$(l)=)$(call frozen,$(n),$(l),0.5)))
by_weight = $(foreach w,$(1),$(foreach n,$(SEEDS),$(2:%=$(w)=)$(call frozen,$(n),multi-similarity,$(w))))

# `none` and a weight of 0 classify nothing: their rows have no accuracy, but that of the nearest centroid.
SCORED_BY := $(foreach s,accuracy nearest_centroid nearest_neighbour davies_bouldin,--score $(s))

.PHONY: table8 table9
table8: $(call by_loss,$(LOSSES))
	@echo; echo "Table 8: losses of the projector, held-out speakers of A ($(words $(SEEDS)) seeds)"
	@avaffect compare -q $(SCORED_BY) $(call by_loss,$(LOSSES),name)

table9: $(call by_weight,$(CROSS_ENTROPY))
	@echo; echo "Table 9: weight of the cross-entropy, held-out speakers of A ($(words $(SEEDS)) seeds)"
	@avaffect compare -q $(SCORED_BY) $(call by_weight,$(CROSS_ENTROPY),name)

# The tables that were asked for are printed one after the other by `make -j` too.
chain = $(if $(word 2,$(1)),$(eval $(word 2,$(1)): | $(firstword $(1)))$(call chain,$(wordlist 2,$(words $(1)),$(1))))
$(call chain,$(filter table% figure%,$(MAKECMDGOALS)))
