# The chain on synthetic talking faces: `make demo` in the root of the checkout.
#
#   A   labelled utterances         B   a pool without labels, mostly neutral
#   U   a third corpus with other people, another language and other rooms, used in the last step alone
#
# One audiovisual pre-training on A and B. For each seed: projector, retrieval, adaptation, and a linear
# classifier on U on the frozen encoder, from audio, video, or both, in folds of speakers. The encoder is
# compared as initialised, pre-trained and adapted.
# Every step writes a file; a second run makes only the files that are missing.

SEEDS ?= 0 1 2
MODALITIES := audio video av
ENCODERS := random pretrained adapted
# `make demo` runs two steps at a time, each on one thread, as most steps are short.
export OMP_NUM_THREADS ?= 1
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
DEMO := demo
Q := $(DEMO)/
LENGTHS := --shortest 1.2 --longest 1.8
PRETRAIN := avaffect pretrain-hubert $(Q)A.h5 $(Q)B.h5 --units $(Q)A-units.h5 --units $(Q)B-units.h5 \
	--modality av --preset nano
# The development split has few utterances, which select the best epoch by chance: the last one is kept.
CLASSIFY := --mode frozen --select none --folds 8 --annotations $(Q)U-folds.jsonl
SCORED := $(foreach m,$(MODALITIES),$(foreach e,$(ENCODERS),$(Q)$(m)-$(e).jsonl))

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: table
table: $(SCORED) $(Q)retrieval-0.jsonl $(Q)gallery.png
	@echo "Retrieval for seed 0: share of retrieved utterances of B with their query's emotion"
	@avaffect eval-class -q $(Q)retrieval-0.jsonl --gold $(Q)B.h5 --label hidden_emotion
	@echo
	@echo "Emotion recognition on U (frozen encoder, linear head, 8 folds of unseen speakers,"
	@echo "$(words $(SEEDS)) seeds, mean and standard deviation; chance is 0.25)"
	@avaffect eval-class -q $(SCORED)
	@echo
	@echo "Queries with their retrieved utterances: $(Q)gallery.png"

$(Q)A.jsonl: COUNT := 96
$(Q)A.jsonl: SPEAKERS := 8
$(Q)B.jsonl: COUNT := 256
$(Q)B.jsonl: SPEAKERS := 16
$(Q)U.jsonl: COUNT := 64
$(Q)U.jsonl: SPEAKERS := 8
$(Q)A.jsonl $(Q)B.jsonl $(Q)U.jsonl: $(Q)%.jsonl:
	@mkdir -p $(DEMO)
	avaffect synth $(Q)$* --domain $* --utterances $(COUNT) --speakers $(SPEAKERS) $(LENGTHS) -o $@

$(Q)U-folds.jsonl: $(Q)U.jsonl
	avaffect split $< --by speaker --folds 8 -o $@

$(Q)A.h5 $(Q)B.h5 $(Q)U.h5: $(Q)%.h5: $(Q)%.jsonl
	avaffect preprocess $< --size 48 --preview $(Q)$*-faces -o $@

# Hidden units of the first iteration: k-means of MFCC.
$(Q)kmeans.safetensors: $(Q)A.h5 $(Q)B.h5
	avaffect cluster $^ --features mfcc -k 50 --initialisations 3 -o $@

$(Q)%-units.h5: $(Q)%.h5 $(Q)kmeans.safetensors
	avaffect extract $< --model $(Q)kmeans.safetensors -o $@

# The control: the same encoder at random initialisation.
$(Q)random.safetensors: $(Q)A-units.h5 $(Q)B-units.h5
	$(PRETRAIN) --steps 0 -o $@

# The table scores each modality alone, so one modality is dropped in half of the batches.
$(Q)pretrained.safetensors: $(Q)A-units.h5 $(Q)B-units.h5
	$(PRETRAIN) --modality-dropout 0.5 --epochs 10 --batch-seconds 20 --learning-rate 1e-3 -o $@

$(Q)projector-%.safetensors: $(Q)pretrained.safetensors
	avaffect train-projector $(Q)A.h5 --encoder $< --label emotion --base 0.5 --epsilon 0.1 \
		--seed $* -o $@

$(Q)A-%.h5: $(Q)projector-%.safetensors
	avaffect extract $(Q)A.h5 --model $< -o $@

$(Q)B-%.h5: $(Q)projector-%.safetensors
	avaffect extract $(Q)B.h5 --model $< -o $@

$(Q)retrieval-%.jsonl: $(Q)A-%.h5 $(Q)B-%.h5
	avaffect retrieve --query $(Q)A-$*.h5 --pool $(Q)B-$*.h5 -T 0.02 --seed $* -o $@

$(Q)gallery.png: $(Q)retrieval-0.jsonl
	avaffect gallery $< --gold $(Q)B.h5 --label hidden_emotion -o $@

# A small encoder needs a higher learning rate than the paper's 1e-5. At that rate the domain loss with
# weight 1 would dominate the others.
$(Q)adapted-%.safetensors: $(Q)retrieval-%.jsonl
	avaffect adapt $< --epochs 5 --batch-seconds 40 --learning-rate 1e-3 --domain-weight 0.1 \
		--seed $* -o $@

# A classifier on one encoder (2, or 2 of one seed, 3) that uses one modality (1).
define classifier
$(Q)$(1)-$(2)-er.safetensors: $(Q)$(2).safetensors $(Q)U.h5 $(Q)U-folds.jsonl
	avaffect finetune $(Q)U.h5 --encoder $$< --modality $(1) $(CLASSIFY) $(3) -o $$@
endef
$(foreach m,$(MODALITIES),$(foreach e,random pretrained,\
	$(eval $(call classifier,$(m),$(e),--runs $(words $(SEEDS))))))
$(foreach m,$(MODALITIES),$(foreach seed,$(SEEDS),\
	$(eval $(call classifier,$(m),adapted-$(seed),--seed $(seed)))))

$(Q)%.jsonl: $(Q)%-er.safetensors
	avaffect predict $(Q)U.h5 --model $< --annotations $(Q)U-folds.jsonl -o $@

$(Q)%-adapted.jsonl: $(foreach seed,$(SEEDS),$(Q)%-adapted-$(seed).jsonl)
	avaffect merge $^ -o $@
