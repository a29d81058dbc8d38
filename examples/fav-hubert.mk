# FAV-HuBERT: AV-HuBERT on whole faces, in the three iterations of SAAML (section 4.1). Its last encoder
# can be adapted by `avaffect retrieve ... | avaffect adapt`.
#
#   make -f examples/fav-hubert.mk MEDIA="vox-0.h5 vox-1.h5" OUT=fav PRESET=base
#
# Each iteration is one pretrain-hubert on units of the iteration before: 100 clusters of MFCC, then
# 100 of layer 9, then 500 of layer 12 (Shi et al. 2022).
#
# With INIT=avhubert.safetensors, an imported encoder, each iteration continues from the one before
# instead of starting anew. The first clusters INIT's last layer: the clusters that INIT was trained on
# are not published, so its prediction head is reset.
#
#   avaffect import base_vox_iter5.pt -o avhubert.safetensors
#   make -f examples/fav-hubert.mk MEDIA=vox.h5 OUT=fav INIT=avhubert.safetensors
#
# MODALITY=audio trains on audio alone (SAAML, appendix D, adapts the audio HuBERT).

OUT ?= fav-hubert
MODALITY ?= av
PRESET ?= base
INIT ?=
# 20 initialisations on this many frames: a tenth of VoxCeleb2's English, 25 frames a second.
CLUSTERING ?= --frames 8000000
# As published: 32 000 frames (1280 s) a step on 32 GPUs. With fewer, take a smaller batch and a lower rate.
TRAINING ?= --steps 800000 --learning-rate 2e-3 --warmup 0.08 --batch-seconds 1280 \
	--batch-utterances 1024 --crop-seconds 16
# Before each pretrain-hubert: LAUNCH="torchrun --standalone --nproc-per-node 8 --no-python"
LAUNCH ?=

O := $(OUT)/
CLUSTERS_1 ?= 100
CLUSTERS_2 ?= 100
CLUSTERS_3 ?= 500
LAYER_2 ?= 9
LAYER_3 ?= 12

# The encoder before each iteration, and the layer of it that is clustered.
BEFORE_1 := $(INIT)
BEFORE_2 := $(O)fav1.safetensors
BEFORE_3 := $(O)fav2.safetensors
CLUSTERED_1 := $(if $(INIT),--model $(INIT),--features mfcc)
CLUSTERED_2 := --model $(BEFORE_2) --layer $(LAYER_2)
CLUSTERED_3 := --model $(BEFORE_3) --layer $(LAYER_3)

.DELETE_ON_ERROR:
.SECONDARY:

$(O)fav3.safetensors:

$(OUT):
	mkdir -p $@

units = $(foreach media,$(MEDIA),$(O)$(basename $(notdir $(media)))-units$(1).h5)

# $(1): the iteration
define iteration
$(O)kmeans$(1).safetensors: $(MEDIA) $(BEFORE_$(1)) | $(OUT)
	avaffect cluster $(MEDIA) $(CLUSTERED_$(1)) -k $(CLUSTERS_$(1)) $(CLUSTERING) -o $$@

$(O)fav$(1).safetensors: $(call units,$(1))
	$(LAUNCH) avaffect pretrain-hubert $(MEDIA) $(addprefix --units ,$(call units,$(1))) \
		$(if $(INIT),--init $(BEFORE_$(1)) --reset-head,--modality $(MODALITY) --preset $(PRESET)) \
		$(TRAINING) -o $$@
endef

# $(1): the iteration; $(2): a store
define units_of
$(O)$(basename $(notdir $(2)))-units$(1).h5: $(2) $(O)kmeans$(1).safetensors
	avaffect extract $(2) --model $(O)kmeans$(1).safetensors -o $$@
endef

$(foreach n,1 2 3,$(eval $(call iteration,$(n)))\
	$(foreach media,$(MEDIA),$(eval $(call units_of,$(n),$(media)))))
