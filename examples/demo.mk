# The main job on a synthetic corpus: `make demo` from the project's root.
#
#   A   labelled voices             B   a pool, mostly neutral, without labels
#   U   a third corpus, another language and room, never seen before the last step
#
# One pre-training on A and B; then, for each seed, projector, retrieval, adaptation; then a linear
# classifier on U, speaker-disjoint, on the frozen encoder: as initialised, pre-trained, adapted.
# Every step is a file; run it again, and what is there is not made again.

SEEDS ?= 0 1 2
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
DEMO := demo
Q := $(DEMO)/
LENGTHS := --shortest 1.2 --longest 2.2
PRETRAIN := avaffect pretrain-hubert $(Q)A.h5 $(Q)B.h5 --units $(Q)A-units.h5 --units $(Q)B-units.h5 \
	--preset nano
# Of 40 development utterances the best epoch is an accident: the last one is kept.
CLASSIFY := --mode frozen --select none --folds 4 --annotations $(Q)U-folds.jsonl

.DELETE_ON_ERROR:
.SECONDARY:
.PHONY: table
table: $(Q)random.jsonl $(Q)pretrained.jsonl $(Q)adapted.jsonl $(Q)retrieval-0.jsonl
	@echo "Retrieval for seed 0: how often a retrieved utterance of B bears its query's emotion"
	@avaffect eval-class -q $(Q)retrieval-0.jsonl --gold $(Q)B.h5 --label hidden_emotion
	@echo
	@echo "Emotion recognition on U (frozen encoder, linear head, 4 folds of unseen speakers,"
	@echo "$(words $(SEEDS)) seeds, mean and standard deviation; chance is 0.25)"
	@avaffect eval-class -q $(Q)random.jsonl $(Q)pretrained.jsonl $(Q)adapted.jsonl

$(Q)A.jsonl: COUNT := 160
$(Q)A.jsonl: SPEAKERS := 8
$(Q)B.jsonl: COUNT := 320
$(Q)B.jsonl: SPEAKERS := 16
$(Q)U.jsonl: COUNT := 160
$(Q)U.jsonl: SPEAKERS := 8
$(Q)A.jsonl $(Q)B.jsonl $(Q)U.jsonl: $(Q)%.jsonl:
	@mkdir -p $(DEMO)
	avaffect synth $(Q)$* --domain $* --utterances $(COUNT) --speakers $(SPEAKERS) $(LENGTHS) -o $@

$(Q)U-folds.jsonl: $(Q)U.jsonl
	avaffect split $< --by speaker --folds 4 -o $@

$(Q)A.h5 $(Q)B.h5 $(Q)U.h5: $(Q)%.h5: $(Q)%.jsonl
	avaffect preprocess $< -o $@

# Hidden units of the first iteration: k-means of MFCC.
$(Q)kmeans.safetensors: $(Q)A.h5 $(Q)B.h5
	avaffect cluster $^ --features mfcc -k 50 --initialisations 3 -o $@

$(Q)%-units.h5: $(Q)%.h5 $(Q)kmeans.safetensors
	avaffect extract $< --model $(Q)kmeans.safetensors -o $@

# The control: the same encoder, as it was initialised.
$(Q)random.safetensors: $(Q)A-units.h5 $(Q)B-units.h5
	$(PRETRAIN) --steps 0 -o $@

$(Q)pretrained.safetensors: $(Q)A-units.h5 $(Q)B-units.h5
	$(PRETRAIN) --epochs 10 --batch-seconds 20 --learning-rate 1e-3 -o $@

$(Q)projector-%.safetensors: $(Q)pretrained.safetensors
	avaffect train-projector $(Q)A.h5 --encoder $< --label emotion --base 0.5 --epsilon 0.1 \
		--seed $* -o $@

$(Q)A-%.h5: $(Q)projector-%.safetensors
	avaffect extract $(Q)A.h5 --model $< -o $@

$(Q)B-%.h5: $(Q)projector-%.safetensors
	avaffect extract $(Q)B.h5 --model $< -o $@

$(Q)retrieval-%.jsonl: $(Q)A-%.h5 $(Q)B-%.h5
	avaffect retrieve --query $(Q)A-$*.h5 --pool $(Q)B-$*.h5 -T 0.02 --seed $* -o $@

# A small encoder learns at a higher rate than the paper's 1e-5.
$(Q)adapted-%.safetensors: $(Q)retrieval-%.jsonl
	avaffect adapt $< --epochs 8 --batch-seconds 60 --learning-rate 5e-4 --seed $* -o $@

$(Q)random-er.safetensors $(Q)pretrained-er.safetensors: $(Q)%-er.safetensors: \
		$(Q)%.safetensors $(Q)U.h5 $(Q)U-folds.jsonl
	avaffect finetune $(Q)U.h5 --encoder $< $(CLASSIFY) --runs $(words $(SEEDS)) -o $@

$(Q)adapted-%-er.safetensors: $(Q)adapted-%.safetensors $(Q)U.h5 $(Q)U-folds.jsonl
	avaffect finetune $(Q)U.h5 --encoder $< $(CLASSIFY) --seed $* -o $@

$(Q)%.jsonl: $(Q)%-er.safetensors
	avaffect predict $(Q)U.h5 --model $< --annotations $(Q)U-folds.jsonl -o $@

$(Q)adapted.jsonl: $(foreach seed,$(SEEDS),$(Q)adapted-$(seed).jsonl)
	avaffect merge $^ -o $@
